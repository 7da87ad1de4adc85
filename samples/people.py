"""Who lives in the sample: made-up people from eight countries, with addresses that can reach nobody.

Mail addresses end in `.example` (RFC 2606). Telephone numbers are from ranges kept for fiction where a country has
one (US, CA: 555-01xx; GB: Ofcom's London range; DE: Bundesnetzagentur's; AU: ACMA's). China, Singapore and India keep
none, so theirs are merely valid.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field


def _words(text: str, mark: str | None = None) -> tuple[str, ...]:
    return tuple(text.split(mark))


AUSTRALIAN = _words(
    "0491570006 0491570156 0491570157 0491570158 0491570159 0491570110 0491570313 0491570737 0491571266 0491571491 "
    "0491571804 0491572549 0491572665 0491572983 0491573770 0491573087 0491574118 0491574632 0491575254 0491575789"
)

ENGLISH_FIRST = _words(
    "Amelia Noah Grace Oliver Hannah Theo Maya Julian Zoe Marcus Elena Caleb Nina Owen Ruby Simon Clara Felix Ivy "
    "Martin Alice Dylan Freya Hugo Tessa Leon Esme Oscar Naomi Patrick"
)
ENGLISH_LAST = _words(
    "Ashdown Barlow Calder Denholm Eastwick Farrow Garland Hollis Inman Jessop Kearsley Lockhart Merrill Norcross "
    "Oakes Penrose Quayle Rosser Selwyn Thackeray Upton Vickers Wainwright Yardley"
)
GERMAN_FIRST = _words("Anke Björn Carla Dirk Greta Henning Jana Lukas Mareike Sören Ute Wiebke")
GERMAN_LAST = _words("Ahlers Brandt Clausen Dettmer Ehlers Falk Gerdes Hinrichs Jessen Köster Lürssen Möller")
INDIAN_FIRST = _words("Aarav Diya Ishaan Kavya Meera Nikhil Priya Rohan Sanya Tara Varun Anjali")
INDIAN_LAST = _words("Bhandari Chawla Deshpande Iyer Joshi Kulkarni Menon Nair Pillai Rao Sethi Varma")
SINGAPORE_FIRST = _words("Wei Ling,Jun Hao,Hui Min,Kai Xiang,Shu Ting,Xin Yi,Zhi Wei,Jia En", ",")
SINGAPORE_LAST = _words("Tan Lim Goh Teo Koh Chua Sim Ong")
MALAY_FIRST = _words("Siti Farah Nadia Hafiz Aisyah Irfan")
MALAY_LAST = _words("Rahman Ismail Yusof Hamid Osman Salleh")
CHINESE_LAST = _words(
    "陈/chen 林/lin 周/zhou 吴/wu 徐/xu 孙/sun 马/ma 朱/zhu 胡/hu 郭/guo 何/he 高/gao 罗/luo 郑/zheng 梁/liang 谢/xie"
)
CHINESE_FIRST = _words(
    "雨桐/yutong 子涵/zihan 思远/siyuan 嘉怡/jiayi 浩然/haoran 欣妍/xinyan 一鸣/yiming 静雯/jingwen 志强/zhiqiang "
    "晓彤/xiaotong 文博/wenbo 佳琪/jiaqi 宇航/yuhang 梦洁/mengjie 俊杰/junjie 若溪/ruoxi"
)

COMPANY_FIRST = _words(
    "Alder Bramble Cobalt Dovetail Ember Fathom Gable Hazel Inkwell Juniper Keystone Linden Marlow Northgate Osprey "
    "Pinnace Quarry Rowan Sextant Thimble Umber Vesper Willow Yarrow"
)
COMPANY_LAST = _words(
    "Studio,Labs,Press,Analytics,Architects,Legal,Robotics,Dental,Games,Logistics,Textiles,Films", ","
)
CHINESE_COMPANIES = _words(
    "云杉设计/yunshan 青石软件/qingshi 白塔出版/baita 南风传媒/nanfeng 知行咨询/zhixing 海盐影像/haiyan "
    "木兰教育/mulan 折纸游戏/zhezhi 远帆物流/yuanfan 半山建筑/banshan 拾一律所/shiyi 星桥科技/xingqiao"
)


@dataclass(frozen=True)
class Origin:
    """Where people come from: their names, zones and locales, and how many of two hundred they are."""

    country: str
    count: int
    firsts: tuple[str, ...]
    lasts: tuple[str, ...]
    zones: tuple[str, ...]
    locales: tuple[str, ...]


AMERICAN_ZONES = ("America/New_York", "America/Chicago", "America/Denver", "America/Los_Angeles")
AUSTRALIAN_ZONES = ("Australia/Sydney", "Australia/Brisbane", "Australia/Perth")

ORIGINS = (
    Origin("US", 44, ENGLISH_FIRST, ENGLISH_LAST, AMERICAN_ZONES, ("en-US",)),
    Origin("CN", 42, CHINESE_FIRST, CHINESE_LAST, ("Asia/Shanghai",), ("zh-CN",)),
    Origin("GB", 32, ENGLISH_FIRST, ENGLISH_LAST, ("Europe/London",), ("en-GB",)),
    Origin("SG", 18, SINGAPORE_FIRST, SINGAPORE_LAST, ("Asia/Singapore",), ("en-SG", "zh-SG")),
    Origin("SG", 8, MALAY_FIRST, MALAY_LAST, ("Asia/Singapore",), ("en-SG",)),
    Origin("AU", 20, ENGLISH_FIRST, ENGLISH_LAST, AUSTRALIAN_ZONES, ("en-AU",)),
    Origin("CA", 12, ENGLISH_FIRST, ENGLISH_LAST, ("America/Toronto", "America/Vancouver"), ("en-CA",)),
    # Nothing is written in German: whoever asks for it reads English.
    Origin("DE", 12, GERMAN_FIRST, GERMAN_LAST, ("Europe/Berlin",), ("de-DE", "en-GB")),
    Origin("IN", 12, INDIAN_FIRST, INDIAN_LAST, ("Asia/Kolkata",), ("en-IN",)),
)


@dataclass
class Person:
    """One row of customers.csv. Dates are days from the start, such as `+40d`."""

    external_id: str
    email: str
    phone: str
    first_name: str
    last_name: str
    country: str
    locale: str
    time_zone: str
    stage: str = "new"
    tags: list[str] = field(default_factory=list)
    email_consent: str = "yes"
    sms_consent: str = "no"
    company: str = ""
    plan: str = ""
    renewal_date: str = ""
    last_order_at: str = ""
    lifetime_value: str = ""
    birthday: str = ""
    consent_date: str = ""

    def row(self) -> list[str]:
        """The cells in the order of the columns."""
        values = vars(self)
        return [";".join(value) if isinstance(value, list) else value for value in values.values()]


def people(dice: random.Random) -> Iterator[Person]:
    """Two hundred people without a story yet; everybody has a company, which a story may take away."""
    origins = [origin for origin in ORIGINS for _ in range(origin.count)]
    dice.shuffle(origins)
    taken: set[str] = set()
    countrymen: Counter[str] = Counter()
    for number, origin in enumerate(origins, 1):
        while True:
            first, last, mailbox = _name(dice, origin)
            company, domain = _company(dice, origin.country)
            address = f"{mailbox}@{domain}"
            if not {address, f"{first} {last}"} & taken:
                break
        taken |= {address, f"{first} {last}"}
        countrymen[origin.country] += 1
        yield Person(
            external_id=f"K{1000 + number}",
            email=address,
            phone=_phone(origin.country, countrymen[origin.country]),
            first_name=first,
            last_name=last,
            country=origin.country,
            locale=dice.choice(origin.locales),
            time_zone=dice.choice(origin.zones),
            company=company,
        )


def _name(dice: random.Random, origin: Origin) -> tuple[str, str, str]:
    """First name, last name, and both as they stand in a mail address."""
    first, _, plain_first = dice.choice(origin.firsts).partition("/")
    last, _, plain_last = dice.choice(origin.lasts).partition("/")
    mailbox = f"{plain_first or first}.{plain_last or last}".lower().replace(" ", "")
    return first, last, mailbox.replace("ä", "ae").replace("ö", "oe").replace("ü", "ue")


def _company(dice: random.Random, country: str) -> tuple[str, str]:
    if country == "CN":
        name, slug = dice.choice(CHINESE_COMPANIES).split("/")
        return name, f"{slug}.example"
    first, last = dice.choice(COMPANY_FIRST), dice.choice(COMPANY_LAST)
    return f"{first} {last}", f"{first}{last}.example".lower()


def _phone(country: str, number: int) -> str:
    """The number of the `number`-th person of a country, in E.164."""
    match country:
        case "US":
            return f"+1{(212, 312, 303, 415, 206)[number % 5]}55501{number % 100:02}"
        case "CA":
            return f"+1{(416, 604, 514)[number % 3]}55501{number % 100:02}"
        case "GB":
            return f"+44207946{number:04}"
        case "DE":
            return f"+4917139200{number % 100:02}"
        case "AU":
            return f"+61{AUSTRALIAN[number - 1][1:]}"
        case "CN":
            return f"+8616600000{number:03}"
        case "SG":
            return f"+6581230{number:03}"
        case _:
            return f"+917000000{number:03}"
