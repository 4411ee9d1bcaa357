import re

from simulators.scenario import SCENARIOS
from simulators.telnyx import server
from simulators.telnyx.behaviour import (
    FAULTS_BY_NUMBER,
    PEOPLE_BY_NUMBER,
    CarrierFaults,
    Person,
    behind,
)

PERSON = Person(SCENARIOS["short"])


def test_an_ordinary_number_is_answered_by_the_default_person() -> None:
    assert behind("+15550100", PERSON, CarrierFaults()) == (PERSON, CarrierFaults())


def test_a_number_changes_only_what_it_stands_for() -> None:
    person, faults = behind("+15550105", PERSON, CarrierFaults(muted=True))
    assert (person.codec, person.scenario) == ("PCMA", PERSON.scenario)
    assert faults == CarrierFaults(muted=True)
    assert behind("+15550104", PERSON, CarrierFaults())[1].dial == "forbidden"


def test_every_special_number_can_be_looked_up_in_the_documentation() -> None:
    documented = re.findall(r"\+1555\d{4}", str(server.__doc__))
    assert sorted(documented) == sorted({*PEOPLE_BY_NUMBER, *FAULTS_BY_NUMBER})
    for number in documented:
        assert behind(number, PERSON, CarrierFaults()) != (PERSON, CarrierFaults())
