"""Countries, languages, time zones, days and names as people and programs write them."""

import pytest

from activities.intake.contacts import read_locale, read_time_zone
from activities.intake.days import tidy_date
from activities.intake.names import split_name
from activities.intake.places import country_code


@pytest.mark.parametrize(("code", "names"), [
    ("DE", "DE|de|DEU|D|Germany|GERMANY|Deutschland|Allemagne|德国|Deutschland (DE)|DE - Germany"),
    ("US", "USA|U.S.|u.s.a.|United States|Vereinigte Staaten|États-Unis|美国|United States (USA)"),
    ("AT", "Österreich|Oesterreich|Austria|Autriche"),
    ("CN", "China|P.R. China|PRC|中国|中华人民共和国|VR China|Chine"),
    ("KR", "South Korea|Korea, Republic of|한국|대한민국|Südkorea"),
    ("GB", "UK|England|Great Britain (UK)|Northern Ireland|Großbritannien|United Kingdom"),
    ("CI", "Côte d’Ivoire|Cote d'Ivoire|Ivory Coast"),
    ("BA", "Bosnia & Herzegovina|Bosnia and Herzegovina"),
    ("IR", "Iran|Iran, Islamic Republic of"), ("CD", "Congo (Kinshasa)"), ("CZ", "Tschechien|Česko|Czech Republic"),
    ("HK", "香港|Hong Kong|Hongkong"), ("NA", "NA|Namibia"), ("XK", "Kosovo"),
])  # fmt: skip
def test_a_country_goes_by_its_names(code: str, names: str) -> None:
    assert {name: country_code(name) for name in names.split("|")} == dict.fromkeys(names.split("|"), code)


@pytest.mark.parametrize("text", ["Atlantis", "EU", "49", "Germany (FR)", "", "XX", "DE - France"])
def test_what_is_no_country_is_none(text: str) -> None:
    assert country_code(text) is None


@pytest.mark.parametrize(("tag", "names"), [
    ("de", "de|DE|deu|ger|German|deutsch|allemand|德语"), ("de-AT", "de_AT|German (Austria)|Deutsch (Österreich)"),
    ("en-US", "en_US.UTF-8|English (United States)|English (US)|American English"),
    ("zh-Hans", "Chinese (Simplified)|简体中文|中文（简体）"),
    ("pt-BR", "Brazilian Portuguese|Portuguese (Brazil)|pt_br"),
    ("no", "Norwegian|norsk"),
])  # fmt: skip
def test_a_language_goes_by_its_names(tag: str, names: str) -> None:
    assert {name: read_locale(name) for name in names.split("|")} == dict.fromkeys(names.split("|"), tag)


@pytest.mark.parametrize("text", ["cn", "xx", "german please", "1031"])
def test_what_is_no_language_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="no language tag"):
        read_locale(text)


@pytest.mark.parametrize(("zone", "names"), [
    ("Europe/Berlin", "Berlin|europe / berlin|W. Europe Standard Time|(GMT+01:00) Europe/Berlin|Europe\\Berlin"),
    ("Asia/Shanghai", "China Standard Time|Beijing|(UTC+08:00) Beijing, Chongqing|(GMT+08:00) China (Asia/Shanghai)"),
    ("America/New_York", "Eastern Time (US & Canada)|New York|(UTC-05:00) Eastern Time (US & Canada)"),
    ("Etc/GMT-1", "UTC+1|+01:00|GMT+01:00"), ("Etc/GMT+5", "UTC-5|GMT-05:00"), ("US/Eastern", "us_slash_eastern"),
])  # fmt: skip
def test_a_time_zone_goes_by_its_names(zone: str, names: str) -> None:
    assert {name: read_time_zone(name) for name in names.split("|")} == dict.fromkeys(names.split("|"), zone)


@pytest.mark.parametrize("text", ["PST", "UTC+05:30", "Atlantis", "UTC+20"])
def test_a_zone_that_can_be_several_or_none_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="no time zone"):
        read_time_zone(text)


@pytest.mark.parametrize("text", [
    "1. März 2026", "1er mars 2026", "1 de marzo de 2026", "Sunday, March 1, 2026", "March 1st, 2026", "1-Mar-2026",
    "2026-03-01 14:30", "2026-03-01T10:00:00+01:00", "1.3.2026 9:30", "2026. 3. 1.", "1 mrt 2026", "1 maart 2026",
])  # fmt: skip
def test_days_that_are_written_out_are_read(text: str) -> None:
    assert tidy_date(text) == "2026-03-01"


@pytest.mark.parametrize("text", ["1.3.26", "03/04/2026", "March 2026", "1 Marsember 2026", "3/4/2026 12:00:00 AM"])
def test_days_that_can_be_several_are_left_as_they_are(text: str) -> None:
    assert tidy_date(text) in (text, "3/4/2026")


@pytest.mark.parametrize(("text", "name"), [
    ("Ada Byron", ("Ada", "Byron")), ("Byron, Ada", ("Ada", "Byron")),
    ("Ludwig van Beethoven", ("Ludwig", "van Beethoven")),
    ("Ada  Maria Byron", ("Ada Maria", "Byron")), ("Cher", ("Cher", None)), ("王小明", ("小明", "王")),
    ("欧阳娜娜", ("娜娜", "欧阳")), ("山田 太郎", ("太郎", "山田")), ("김민수", ("민수", "김")),
    ("Martin King Jr.", ("Martin", "King")),
])  # fmt: skip
def test_a_name_in_one_cell_is_a_given_name_and_a_family_name(text: str, name: tuple[str | None, str | None]) -> None:
    assert split_name(text) == name
