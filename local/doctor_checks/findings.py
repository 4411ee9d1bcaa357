"""Everything that `make doctor` can find, and how to fix it."""

from dataclasses import dataclass
from enum import Enum


class Problem(Enum):
    """Three texts per problem: the subject, what is wrong, and what to do. `{}` is the detail that
    was found."""

    OPENAI_KEY_MISSING = (
        "OpenAI API key",
        "OPENAI_API_KEY is not set",
        "make one at platform.openai.com/api-keys",
    )
    OPENAI_KEY_REFUSED = (
        "OpenAI API key",
        "OpenAI does not accept it: {}",
        "make a new one at platform.openai.com/api-keys",
    )
    MODEL_UNAVAILABLE = (
        "model",
        "the server refuses a session with it: {}",
        "set OPENAI_MODEL to a Realtime model that your OpenAI project may use",
    )
    MODEL_SHUTDOWN = (
        "model",
        "OpenAI shuts down {}",
        "set OPENAI_MODEL to a newer Realtime model before that day",
    )
    MODEL_UNREACHABLE = (
        "OpenAI Realtime",
        "no answer: {}",
        "check OPENAI_REALTIME_URL, and that this machine can connect to it",
    )
    TELNYX_KEY_MISSING = (
        "Telnyx API key",
        "TELNYX_API_KEY is not set",
        "make one at portal.telnyx.com, API Keys",
    )
    TELNYX_KEY_REFUSED = (
        "Telnyx API key",
        "Telnyx does not accept it",
        "make a new one at portal.telnyx.com, API Keys",
    )
    TELNYX_UNREACHABLE = (
        "Telnyx API",
        "no answer: {}",
        "check TELNYX_API_BASE, and that this machine can connect to it",
    )
    CLOCK_WRONG = (
        "clock",
        "the clock of this machine differs from Telnyx's by {} seconds",
        "synchronise it, because signatures of webhooks are valid for five minutes",
    )
    NO_CREDIT = (
        "Telnyx credit",
        "{} is left",
        "add funds at portal.telnyx.com, Billing",
    )
    APPLICATION_MISSING = (
        "Telnyx application",
        "TELNYX_CONNECTION_ID is not set",
        "create a Voice API application at portal.telnyx.com, Voice, and set its id",
    )
    APPLICATION_UNKNOWN = (
        "Telnyx application",
        "{} is not a Voice API application of this account",
        "set TELNYX_CONNECTION_ID to the id of one of its applications",
    )
    APPLICATION_INACTIVE = (
        "Telnyx application",
        "it is switched off",
        "activate it at portal.telnyx.com, Voice",
    )
    WEBHOOK_URL_WRONG = (
        "Telnyx webhook URL",
        "it is {}",
        "set it to BASE_PUBLIC_URL followed by /webhooks/telnyx (`make deploy` does)",
    )
    WEBHOOK_VERSION_WRONG = (
        "Telnyx webhook version",
        "it is {}",
        "choose API v2 in the application",
    )
    NO_OUTBOUND_PROFILE = (
        "Telnyx outbound voice profile",
        "the application has none, so every dial is refused (D38)",
        "choose one in the application's outbound settings",
    )
    OUTBOUND_PROFILE_DISABLED = (
        "Telnyx outbound voice profile",
        "{} is switched off",
        "enable it at portal.telnyx.com, Outbound Voice Profiles",
    )
    FROM_NUMBER_MISSING = (
        "from number",
        "TELNYX_FROM_NUMBER is not set",
        "set it to a number of your Telnyx account",
    )
    FROM_NUMBER_NOT_OWNED = (
        "from number",
        "the account neither owns nor verified it",
        "set TELNYX_FROM_NUMBER to another number, or verify it at portal.telnyx.com",
    )
    FROM_NUMBER_INACTIVE = (
        "from number",
        "its status is {}",
        "wait until Telnyx has activated it, or use another number",
    )
    FROM_NUMBER_ELSEWHERE = (
        "from number",
        "calls to it do not reach this application",
        "assign the number to the application at portal.telnyx.com, My Numbers",
    )
    PUBLIC_KEY_MISSING = (
        "Telnyx public key",
        "TELNYX_PUBLIC_KEY is not set, so no webhook is accepted",
        "set it to {}",
    )
    PUBLIC_KEY_WRONG = (
        "Telnyx public key",
        "it is not this account's, so no webhook is accepted",
        "set TELNYX_PUBLIC_KEY to {}",
    )
    PUBLIC_URL_MISSING = (
        "public URL",
        "BASE_PUBLIC_URL is not set, so Telnyx cannot reach the webhooks",
        "deploy, or start a tunnel to port 3000 and set its https URL",
    )
    PUBLIC_URL_LOCAL = (
        "public URL",
        "BASE_PUBLIC_URL is {}, an address that Telnyx cannot reach",
        "start a tunnel to port 3000 and set its https URL",
    )
    PUBLIC_URL_UNREACHABLE = (
        "public URL",
        "no answer: {}",
        "check BASE_PUBLIC_URL, its DNS record, and that the tunnel or the stack is up",
    )
    PUBLIC_URL_ELSEWHERE = (
        "public URL",
        "the server at this URL is not Phonebridge ({})",
        "check BASE_PUBLIC_URL, which must have no path",
    )
    WEBHOOKS_NOT_CONFIGURED = (
        "webhooks",
        "the server answers: {}",
        "set the named settings where the server runs",
    )
    MEDIA_URL_LOCAL = (
        "media URL",
        "MEDIA_PUBLIC_URL is {}, an address that Telnyx cannot reach",
        "leave it empty to use BASE_PUBLIC_URL, or set the wss URL of a tunnel",
    )
    MEDIA_UNREACHABLE = (
        "media URL",
        "no answer: {}",
        "check MEDIA_PUBLIC_URL, its DNS record, and that the media container is up",
    )
    MEDIA_ELSEWHERE = (
        "media URL",
        "the server at this URL is not the media container ({})",
        "check MEDIA_PUBLIC_URL, and that the load balancer has a healthy task",
    )
    CERTIFICATE_INVALID = (
        "TLS certificate",
        "{}",
        "get a publicly trusted certificate for that name; Telnyx accepts no other",
    )
    CERTIFICATE_EXPIRES = (
        "TLS certificate",
        "{}",
        "renew it; ACM renews its own while the validation record exists",
    )

    NOT_ASKED = (
        "{}",
        "not asked yet",
        "repair what failed above first",
    )
    ALARMS_UNHEARD = (
        "alarms",
        "nobody gets them",
        "make deploy ARGS='--set AlarmEmail=you@example.com', or subscribe to the topic yourself",
    )
    ALARMS_UNCONFIRMED = (
        "alarms",
        "{} has not confirmed the subscription",
        "open the message from AWS Notifications and confirm it",
    )
    ALARMS_UNKNOWN = (
        "alarms",
        "who gets them cannot be read: {}",
        "allow sns:ListSubscriptionsByTopic",
    )


NOTES = {
    Problem.MODEL_SHUTDOWN,
    Problem.NOT_ASKED,
    Problem.ALARMS_UNHEARD,
    Problem.ALARMS_UNCONFIRMED,
    Problem.ALARMS_UNKNOWN,
}
"""Problems that do not keep a call from working."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A line of the doctor's report. Without a problem, the check passed."""

    what: str
    problem: Problem | None = None
    found: str = ""

    @property
    def is_fatal(self) -> bool:
        return self.problem is not None and self.problem not in NOTES

    def __str__(self) -> str:
        if self.problem is None:
            return f"ok    {self.what}"
        what, problem, remedy = (part.format(self.found) for part in self.problem.value)
        level = "FAIL" if self.is_fatal else "note"
        return f"{level}  {what}: {problem}. To do: {remedy}."


def healthy(what: str) -> Finding:
    return Finding(what)


def problem_found(problem: Problem, found: object = "") -> Finding:
    return Finding(problem.value[0], problem, str(found))


def not_asked(what: str) -> Finding:
    """Return a note about a check that has to wait for another one."""
    return problem_found(Problem.NOT_ASKED, what)
