"""Network and roles stay for one release after they are no longer needed.

A deployment is over while replaced tasks still carry calls, and CloudFormation then deletes what
the new template lacks. A subnet, a route or a role that went with it would cut those calls off.
"""

from pathlib import Path

from tests.support.translated import resources

FAMILIES = ("AWS::EC2::", "AWS::IAM::")
RELEASED = Path(__file__).with_name("logical_ids.txt")
"""The ids of the last release and all that were added since, sorted. An id may leave this list and
template.yaml in the release after the one that no longer uses it."""


def current() -> set[str]:
    return {name for name, each in resources().items() if each["Type"].startswith(FAMILIES)}


def test_ids_of_network_and_roles_only_grow() -> None:
    gone = set(RELEASED.read_text().split()) - current()
    assert not gone, "replaced tasks still use them; remove them in the next release"


def test_what_is_new_is_kept_from_now_on() -> None:
    assert RELEASED.read_text().split() == sorted(current()), "add the new ids to the list"
