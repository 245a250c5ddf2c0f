"""The error tree.

SangdamError                 one clear line for whoever is addressed
├── ConfigError              sangdam.yaml or the environment is wrong        -> operator
├── PromptError              a file under prompts/ is wrong                  -> operator
├── KnowledgeError           the knowledge base cannot be read or built      -> operator
│   ├── DocumentError        one document cannot be read                     -> reload report
│   └── IndexBusy            another process or task is writing the index    -> tried later
├── StoreError               the database cannot be opened or is too new     -> operator
├── ChannelDown              a channel cannot send just now; nothing was sent -> tried again
└── BrainError               a turn failed; names the phrase the customer hears
    ├── Busy                 too many customers wait for the model
    └── ModelError           the model did not answer
        ├── ModelUnavailable no server, or no usable model on it
        ├── ModelBusy        the server refuses for load
        ├── ModelStalled     silent for too long
        └── ModelBroken      the stream ended early or said something unreadable
"""

from __future__ import annotations


class SangdamError(Exception):
    """Base of everything that Sangdam raises on purpose."""


class ConfigError(SangdamError):
    """The configuration is wrong; the message names file, line and what to write instead."""


class PromptError(SangdamError):
    """A prompt file is wrong; the message names file and line."""


class KnowledgeError(SangdamError):
    """The knowledge base cannot be read, built or opened."""


class DocumentError(KnowledgeError):
    """One document cannot be read; the others are."""


class IndexBusy(KnowledgeError):
    """Somebody else is writing the index just now."""


class StoreError(SangdamError):
    """The database cannot be opened."""


class ChannelDown(SangdamError):
    """A channel cannot send just now, and certainly sent nothing; trying again is safe."""


class BrainError(SangdamError):
    """A turn failed in a foreseen way."""

    phrase = "exceptions.system_error"
    """Name of the phrase the customer hears."""


class Busy(BrainError):
    """Too many customers wait for the model already."""

    phrase = "busy.queue"

    def __init__(self, ahead: int) -> None:
        super().__init__(f"{ahead} wait for the model")
        self.ahead = ahead
        """How many are before this one."""


class ModelError(BrainError):
    """The model did not give a usable answer."""


class ModelUnavailable(ModelError):
    """No server answers, or it has no usable model."""


class ModelBusy(ModelError):
    """The server refuses because of load."""


class ModelStalled(ModelError):
    """Loading the model, the first token, the next token or the whole answer took too long."""


class ModelBroken(ModelError):
    """The stream ended before it was done, or could not be read."""
