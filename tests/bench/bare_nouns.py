"""Whether a bare noun and the noun with a particle find the same passage: "배송비" and "배송비는요?".

python tests/bench/bare_nouns.py [--keep FOLDER]

100 nouns of four companies, each with one of the forms in turn: the same passage on top for at least
98. Every noun with every form is counted beside it. `--keep` leaves the indexes for the next run.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT))

from echo import Verdict  # noqa: E402 - the path must be set first

from bot.config import Config  # noqa: E402 - as above
from bot.knowledge import library  # noqa: E402 - as above
from bot.store.store import Store  # noqa: E402 - as above

FORMS = ("는", "가 어떻게", "는요?", "가 어떻게 되나요", "를", "가 뭐예요", "는 어떻게 해요?")
"""After a vowel; the last consonant of a noun decides between 는 and 은."""
AFTER_CONSONANT = {"는": "은", "가": "이", "를": "을"}
NOUNS = {
    ROOT
    / "kb": """배송비 무료배송 환불 교환 반품 당일출고 송장번호 선물포장 회원등급 포인트 쿠폰 비밀번호
        회원탈퇴 세금계산서 현금영수증 무이자할부 매장픽업 테크케어 보증기간 중고보상 와이파이 배터리
        세탁기 로봇청소기 가격""",
    HERE
    / "companies"
    / "hotel"
    / "kb": """조식 체크인 체크아웃 주차 셔틀버스 수영장 사우나 반려동물
        키즈클럽 룸서비스 미니바 보증금 취소 얼리버드 스파 바비큐장 전기차충전 세탁 서핑 유모차 숙박권
        영수증 엑스트라베드 피트니스 와이파이""",
    HERE
    / "companies"
    / "clinic"
    / "kb": """보톡스 필러 임플란트 스케일링 교정 제모 사랑니 충치 예약금
        노쇼 주차 포인트 실비보험 진단서 연말정산 점빼기 기미 여드름 사마귀 마취 유지장치 환불 예약변경
        진료시간 신경치료""",
    HERE
    / "companies"
    / "academy"
    / "kb": """수강료 환불 보강 결석 출석 사물함 자습실 수료증 레벨테스트
        이음패스 부트캠프 내일배움카드 수강연기 반변경 자막 기기등록 주차 장학금 교재 자격증 무료체험
        로그인 수강증 쿠폰 오류번호""",
}


def with_particle(noun: str, form: str) -> str:
    """The noun in that form."""
    closed = (ord(noun[-1]) - ord("가")) % 28 > 0
    return noun + (AFTER_CONSONANT[form[0]] if closed else form[0]) + form[1:]


async def measure(folder: Path, data: Path, nouns: list[str], *, show: bool) -> list[list[bool]]:
    """For each noun and form, whether both find the same passage first."""
    config = Config.model_validate({"data": data, "knowledge": {"folder": folder}})
    store = await Store.open(data / "sangdam.db")
    opened = library(config, store)
    try:
        await opened.reload()
        found: list[list[bool]] = []
        for noun in nouns:
            bare = (await opened.search(noun)).passages[0]
            row = []
            for form in FORMS:
                other = (await opened.search(with_particle(noun, form))).passages[0]
                row.append(bare.id == other.id)
                if show and not row[-1]:
                    print(f"  {noun}: {bare.document} · {bare.heading}")
                    print(f"  {with_particle(noun, form)}: {other.document} · {other.heading}")
            found.append(row)
        return found
    finally:
        await opened.close()
        await store.close()


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=Path, help="folder for the indexes")
    parser.add_argument("--show", action="store_true", help="print what differs")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        rows: list[list[bool]] = []
        for folder, nouns in NOUNS.items():
            data = (given.keep or Path(temporary)) / folder.parent.name
            await asyncio.to_thread(data.mkdir, parents=True, exist_ok=True)
            rows += await measure(folder, data, nouns.split(), show=given.show)
    for at, form in enumerate(FORMS):
        print(f"{form:12} {sum(row[at] for row in rows):3} of {len(rows)}")
    every = sum(map(sum, rows))
    print(f"{every} of {len(rows) * len(FORMS)} with every form")
    same = sum(row[at % len(FORMS)] for at, row in enumerate(rows))
    verdict = Verdict()
    verdict.check("the same passage on top", f"{same} of {len(rows)}", ">= 98 of 100", same >= 98)
    return verdict.status


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
