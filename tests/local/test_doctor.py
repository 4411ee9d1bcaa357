"""Every problem that the doctor can find is provoked once. One set-up has no problem."""

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.media.certificate import self_signed
from doctor import run_checks
from doctor_checks import reachability
from doctor_checks.config import DoctorConfig
from doctor_checks.findings import NOTES, Finding, Problem
from simulators.telnyx.account import CONNECTION_ID, OwnedNumber
from tests.support.doctor_setups import NOBODY, NUMBER, House, Patient, error, patient
from tests.support.processes import output_of, python
from tests.support.whole_calls import whole_system


def with_number(number: OwnedNumber) -> Callable[[Patient], None]:
    return lambda patient: patient.telnyx.account.numbers.update({NUMBER: number})


def with_account(name: str, value: object) -> Callable[[Patient], None]:
    return lambda patient: setattr(patient.telnyx.account, name, value)


def with_house(name: str, status: int, body: bytes) -> Callable[[Patient], None]:
    return lambda patient: setattr(patient.house, name, (status, body))


def with_setting(name: str, value: str = "") -> Callable[[Patient], None]:
    return lambda patient: patient.suffer(**{name: value})


def with_telnyx_elsewhere(**settings: str) -> Callable[[Patient], None]:
    """Telnyx is not on this machine, so it reaches no local address. No server answers for it
    here."""
    return lambda patient: patient.suffer(telnyx_api_base=f"https://{ELSEWHERE}/v2", **settings)


def with_a_clock_that_is_slow(patient: Patient) -> None:
    patient.now -= 3600


ELSEWHERE = "telnyx.invalid"
A = Problem
PROVOKED: dict[Problem, Callable[[Patient], None]] = {
    A.OPENAI_KEY_MISSING: with_setting("openai_api_key"),
    A.OPENAI_KEY_REFUSED: with_setting("openai_api_key", "sk-wrong-0123456789"),
    A.MODEL_UNAVAILABLE: with_setting("openai_model", "gpt-4o"),
    A.MODEL_UNREACHABLE: with_setting("openai_realtime_url", f"ws://{NOBODY}/v1/realtime"),
    A.TELNYX_KEY_MISSING: with_setting("telnyx_api_key"),
    A.TELNYX_KEY_REFUSED: with_setting("telnyx_api_key", "KEY-wrong"),
    A.TELNYX_UNREACHABLE: with_setting("telnyx_api_base", f"http://{NOBODY}/v2"),
    A.CLOCK_WRONG: with_a_clock_that_is_slow,
    A.NO_CREDIT: with_account("available_credit", "-0.42"),
    A.APPLICATION_MISSING: with_setting("telnyx_connection_id"),
    A.APPLICATION_UNKNOWN: with_setting("telnyx_connection_id", "1"),
    A.APPLICATION_INACTIVE: with_account("active", False),
    A.WEBHOOK_URL_WRONG: with_account("webhook_event_url", "https://old.example/webhooks/telnyx"),
    A.WEBHOOK_VERSION_WRONG: with_account("webhook_api_version", "1"),
    A.NO_OUTBOUND_PROFILE: with_account("outbound_voice_profile_id", None),
    A.OUTBOUND_PROFILE_DISABLED: with_account("profile_enabled", False),
    A.FROM_NUMBER_MISSING: with_setting("telnyx_from_number"),
    A.FROM_NUMBER_NOT_OWNED: with_setting("telnyx_from_number", "+15550199"),
    A.FROM_NUMBER_INACTIVE: with_number(OwnedNumber("purchase-pending")),
    A.FROM_NUMBER_ELSEWHERE: with_number(OwnedNumber(connection_id=None)),
    A.PUBLIC_KEY_MISSING: with_setting("telnyx_public_key"),
    A.PUBLIC_KEY_WRONG: with_setting("telnyx_public_key", "A" * 43 + "="),
    A.PUBLIC_URL_MISSING: with_setting("base_public_url"),
    A.PUBLIC_URL_LOCAL: with_telnyx_elsewhere(base_public_url="http://127.0.0.1:3000"),
    A.PUBLIC_URL_UNREACHABLE: with_setting("base_public_url", f"http://{NOBODY}"),
    A.PUBLIC_URL_ELSEWHERE: with_house("webhooks", 404, b"<html>"),
    A.WEBHOOKS_NOT_CONFIGURED: with_house("webhooks", 503, error("not_configured", "no key")),
    A.MEDIA_URL_LOCAL: with_telnyx_elsewhere(
        base_public_url="https://phone.invalid", media_public_url="ws://127.0.0.1:3000"
    ),
    A.MEDIA_UNREACHABLE: with_setting("media_public_url", f"ws://{NOBODY}"),
    A.MEDIA_ELSEWHERE: with_house("media", 503, b"<html>"),
}
OF_TLS = {A.CERTIFICATE_INVALID, A.CERTIFICATE_EXPIRES}
BY_THE_WAY = {
    A.OPENAI_KEY_MISSING: {A.NOT_ASKED},
    A.TELNYX_KEY_MISSING: {A.NOT_ASKED},
    A.TELNYX_KEY_REFUSED: {A.NOT_ASKED},
    A.TELNYX_UNREACHABLE: {A.NOT_ASKED},
    A.APPLICATION_MISSING: {A.NOT_ASKED},
    A.APPLICATION_UNKNOWN: {A.FROM_NUMBER_ELSEWHERE},
    A.PUBLIC_URL_MISSING: {A.NOT_ASKED},
    A.PUBLIC_URL_LOCAL: {A.NOT_ASKED, A.TELNYX_UNREACHABLE},
    A.MEDIA_URL_LOCAL: {A.NOT_ASKED, A.TELNYX_UNREACHABLE},
    A.PUBLIC_URL_UNREACHABLE: {A.WEBHOOK_URL_WRONG},
}
"""Problems that follow from another one."""


def test_every_ailment_is_provoked_and_says_what_to_do() -> None:
    assert set(PROVOKED) | OF_TLS | NOTES == set(Problem), "notes: below, test_doctor_alarms.py"
    for problem in Problem:
        line = str(Finding("", problem, "x"))
        assert "\n" not in line
        assert ". To do: " in line


async def test_a_sound_set_up_is_reported_as_such() -> None:
    async with patient(House()) as well:
        findings = await well.findings()
    assert [str(each) for each in findings if each.problem] == []
    assert len(findings) > 10
    assert all(str(each).startswith("ok ") for each in findings)


@pytest.mark.parametrize("ailment", PROVOKED, ids=lambda ailment: ailment.name)
async def test_an_ailment_is_found(ailment: Problem) -> None:
    async with patient(House()) as ill:
        PROVOKED[ailment](ill)
        found = {each.problem for each in await ill.findings() if each.problem}
    assert found == {ailment} | BY_THE_WAY.get(ailment, set())


@pytest.mark.parametrize("nonsense", ["nonsense", "http://[", "ws://", "https://nobody.invalid"])
async def test_settings_that_are_no_urls_are_ailments_too(nonsense: str) -> None:
    names = ("openai_realtime_url", "telnyx_api_base", "base_public_url", "media_public_url")
    async with patient(House()) as ill:
        ill.suffer(**dict.fromkeys(names, nonsense))
        found = {each.problem for each in await ill.findings() if each.problem}
    assert found == {
        A.MODEL_UNREACHABLE,
        A.TELNYX_UNREACHABLE,
        A.PUBLIC_URL_UNREACHABLE,
        A.MEDIA_UNREACHABLE,
        A.NOT_ASKED,
    }


SETTINGS = (
    "OPENAI_API_KEY",
    "TELNYX_API_KEY",
    "TELNYX_CONNECTION_ID",
    "TELNYX_FROM_NUMBER",
    "TELNYX_PUBLIC_KEY",
    "BASE_PUBLIC_URL",
)


def lines_without_keys(**environ: str) -> list[str]:
    """The report of a set-up that asks no server."""
    return [str(each) for each in run_checks(DoctorConfig.from_env(environ), 0.0)]


def test_without_any_setting_all_six_are_listed_and_what_waits_for_them() -> None:
    lines = lines_without_keys()
    failed = [line for line in lines if line.startswith("FAIL")]
    assert [any(f"{name} is not set" in line for line in failed) for name in SETTINGS] == [True] * 6
    assert len(failed) == len(SETTINGS)
    waiting = [line for line in lines if line.startswith("note")]
    assert [line.partition(": ")[0].removeprefix("note  ") for line in waiting] == [
        "model gpt-realtime-2.1-mini",
        "webhooks and media container",
    ]


@pytest.mark.parametrize("name", SETTINGS[2:5])
def test_a_setting_that_cannot_be_checked_yet_is_said_to_wait(name: str) -> None:
    lines = lines_without_keys(**{name: "given"})
    assert not any(name in line for line in lines)
    assert sum("not asked yet" in line for line in lines) == 3


async def test_the_day_on_which_openai_shuts_the_model_down_is_a_note() -> None:
    async with patient(House()) as well:
        well.model.shutdown_dates[well.subject.openai_model] = "2027-05-01"
        [note] = [each for each in await well.findings() if each.problem]
    assert note.problem is A.MODEL_SHUTDOWN
    assert not note.is_fatal
    assert f"{well.subject.openai_model} on 2027-05-01" in str(note)


async def test_a_verified_number_may_be_shown_too() -> None:
    async with patient(House()) as well:
        well.suffer(telnyx_from_number="+15550142")
        well.telnyx.account.verified_numbers.add("+15550142")
        assert not [each for each in await well.findings() if each.problem]


async def test_a_full_container_is_a_container(tmp_path: Path) -> None:
    async with patient(House(media=(503, error("refused")))) as well:
        assert not [each for each in await well.findings() if each.problem]


@pytest.mark.parametrize("is_trusted", [True, False])
async def test_a_certificate_that_telnyx_would_not_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_trusted: bool
) -> None:
    """The certificate is valid for a day, which is too short even where it is trusted."""
    certificate = self_signed(tmp_path, "localhost")
    if is_trusted:
        monkeypatch.setenv("SSL_CERT_FILE", certificate)
    async with patient(House(certificate=certificate)) as ill:
        found = {each.problem for each in await ill.findings()}
    assert (A.CERTIFICATE_EXPIRES in found) == is_trusted
    assert (A.CERTIFICATE_INVALID in found) == (not is_trusted)


async def test_a_client_without_a_handshake_does_not_stop_the_server_of_these_tests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = self_signed(tmp_path, "localhost")
    monkeypatch.setenv("SSL_CERT_FILE", certificate)
    async with patient(House(certificate=certificate)) as ill:
        with socket.create_connection(("127.0.0.1", ill.house.port)):
            found = {each.problem for each in await ill.findings()}
    assert found == {None, A.CERTIFICATE_EXPIRES}


@pytest.mark.parametrize("is_encrypted", [True, False])
async def test_a_server_that_never_answers_is_reported_and_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_encrypted: bool
) -> None:
    """After a TLS 1.3 handshake the server sends session tickets. They wake a client that waits for
    the socket to become readable."""
    monkeypatch.setattr(reachability, "TIMEOUT_SECONDS", 0.5)
    certificate = self_signed(tmp_path, "localhost") if is_encrypted else None
    if certificate:
        monkeypatch.setenv("SSL_CERT_FILE", certificate)
    async with patient(House(certificate=certificate, is_silent=True)) as ill:
        found = {each.problem for each in await ill.findings()}
    assert {A.PUBLIC_URL_UNREACHABLE, A.MEDIA_UNREACHABLE} <= found


async def test_the_program_finds_the_local_stack_well(tmp_path: Path) -> None:
    async with whole_system(tmp_path, {}) as system:
        url = str(system.api.base_url)
        system.telnyx.account.webhook_event_url = f"{url}/webhooks/telnyx"
        environ = {
            "OPENAI_API_KEY": "sk-test",
            "OPENAI_REALTIME_URL": system.model.url,
            "TELNYX_API_BASE": system.telnyx.api_base,
            "TELNYX_API_KEY": "KEY-test",
            "TELNYX_PUBLIC_KEY": system.telnyx.public_key,
            "TELNYX_CONNECTION_ID": CONNECTION_ID,
            "TELNYX_FROM_NUMBER": NUMBER,
            "BASE_PUBLIC_URL": url,
        }
        async with python("local/doctor.py", environ=environ) as process:
            printed = await output_of(process)
    assert "FAIL" not in printed
    assert printed.count("ok ") > 10
    assert process.returncode == 0


async def test_the_program_ends_with_an_error_if_anything_is_wrong() -> None:
    environ = {"TELNYX_API_BASE": f"http://{NOBODY}/v2", "OPENAI_API_KEY": ""}
    async with python("local/doctor.py", environ=environ) as process:
        printed = await output_of(process)
    assert process.returncode == 1
    assert printed.splitlines()[0].startswith("FAIL  OpenAI API key: OPENAI_API_KEY is not set.")
