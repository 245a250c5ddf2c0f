"""Statements of every message: compiled once, run by the driver, as the engine takes longer than SQLite."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection, Dialect
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.selectable import Select

Convert = Callable[[Any], Any]


class Prepared:
    """One statement. What it selects comes as the database has it, not as the table's types would."""

    def __init__(self, statement: UpdateBase | Select[Any], *columns: str) -> None:
        """`columns` are those that an insert fills; they and the `bindparam`s are the rows' keys."""
        self._statement = statement
        self._columns = columns or None
        self._sql = ""
        self._parameters: tuple[tuple[str, Any, Convert | None], ...] = ()

    def run(self, db: Connection, row: Mapping[str, Any]) -> DBAPICursor:
        """Runs it with the values of `row`, beside those that it holds itself."""
        if not self._sql:
            self._compile(db.dialect)
        try:
            values = [
                convert(row.get(name, own)) if convert else row.get(name, own)
                for name, own, convert in self._parameters
            ]
            # Not the pool's cursor: finding it takes as long as a statement.
            driver: Any = db.connection.driver_connection
            cursor: DBAPICursor = driver.cursor()
            cursor.execute(self._sql, values)
        except Exception as error:
            # As the engine would raise it: without the values, as errors are logged.
            base = db.dialect.loaded_dbapi.Error
            raise DBAPIError.instance(
                self._sql, None, error, base, hide_parameters=True, dialect=db.dialect
            ) from error
        return cursor

    def _compile(self, dialect: Dialect) -> None:
        compiled = self._statement.compile(dialect=dialect, column_keys=self._columns)
        assert isinstance(compiled, SQLCompiler)  # noqa: S101 - every statement that runs is one
        own = compiled.params
        types = {name: bind.type for bind, name in compiled.bind_names.items()}
        converters = {
            name: kind.dialect_impl(dialect).bind_processor(dialect) for name, kind in types.items()
        }
        names = compiled.positiontup or ()
        self._parameters = tuple((name, own.get(name), converters.get(name)) for name in names)
        self._sql = str(compiled)
