"""Numbers and units as Korean and English write them, in digits and in words."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final


def _table(lines: str) -> dict[str, tuple[str, Decimal]]:
    """Every word of lines such as `minutes 60: hour 시간` with its kind and its share of the base unit."""
    found: dict[str, tuple[str, Decimal]] = {}
    for line in lines.strip().splitlines():
        what, _, words = line.partition(":")
        kind, _, factor = what.rpartition(" ")
        above, _, below = factor.partition("/")
        value = Decimal(above) / Decimal(below or 1)
        found |= dict.fromkeys(words.replace("_", " ").split(","), (kind, value))
    return found


UNITS: Final = _table("""
money 1:원
percent 1:%,퍼센트,프로,percent
minutes 1/60:초,초간,seconds,second,sec
minutes 1:분,분간,minutes,minute,mins,min
minutes 60:시간,hours,hour,hrs
minutes 1440:일,일간,일째,영업일,근무일,업무일,days,day,business days,business day,working days,working day
minutes 10080:주,주일,주간,weeks,week
months 1:개월,달,months,month
months 12:년,년간,해,years,year
g 1:g,그램
g 1000:kg,킬로그램
mm 1:mm
mm 10:cm
mm 1000:m,미터
mm 1000000:km
inch 1:인치,형,inches,inch
ml 1:ml
ml 1000:l,리터
mb 1:mb,메가
gb 1:gb,기가
tb 1:tb,테라
hz 1:hz
hz 1000000:mhz
hz 1000000000:ghz
w 1:w
w 1000:kw
wh 1:wh
wh 1000:kwh
mah 1:mah
v 1:v
db 1:db
points 1:포인트,점,points,point,p
years old 1:세,살
times 1:배,times
count 1:개,명,번,회,장,대,건,권,벌,층,호,곳,매,팩,병,잔,박,인,켤레,박스,상자,세트,자리,차례
free 1:가지,단계,번째,종류,차,문장,항목,steps,ways
""")
"""Units with their kind and their share of its base unit; what is `free` counts words, not things."""
_COUNTED: Final = """
한 one
두 two
세 석 three
네 넉 four
다섯 five
여섯 six
일곱 seven
여덟 eight
아홉 nine
열 ten
열한 eleven
열두 twelve
열세 thirteen
열네 fourteen
"""
NATIVE: Final = {
    word: value
    for value, words in enumerate(_COUNTED.strip().splitlines(), start=1)
    for word in words.split()
} | {"스무": 20, "thirty": 30}
"""Numbers that are counted in words."""
SPANS: Final = _table("""
minutes 2880:이틀
minutes 4320:사흘
minutes 5760:나흘
minutes 7200:닷새
minutes 10080:일주일
minutes 14400:열흘
minutes 21600:보름
months 6:반년
""")
"""Spans of time that are one word."""
_SCALES: Final = {"억": 10**8, "만": 10**4, "천": 1000, "백": 100, "십": 10}


def from_digits(text: str) -> Decimal:
    """3만 5천 is 35000, 1,200 is 1200."""
    total, part = Decimal(0), Decimal(0)
    for digits, scales in re.findall(r"(\d[\d,]*(?:\.\d+)?)\s?([억만천백십]*)", text):
        part += Decimal(digits.replace(",", ""))
        for scale in scales:
            part *= _SCALES[scale]
        total, part = total + part, Decimal(0)
    return total


def from_words(word: str) -> Decimal:
    """삼만오천 is 35000."""
    total = section = digit = 0
    for letter in word:
        if letter in "일이삼사오육칠팔구":
            digit = "일이삼사오육칠팔구".index(letter) + 1
        elif letter in "십백천":
            section, digit = section + (digit or 1) * _SCALES[letter], 0
        else:
            total, section, digit = total + (section + digit or 1) * _SCALES[letter], 0, 0
    return Decimal(total + section + digit)
