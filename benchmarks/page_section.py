"""The section of a page in docs/ that a benchmark writes. Two comments of the page mark it."""

from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1] / "docs"


@dataclass(frozen=True, slots=True)
class PageSection:
    page: Path
    name: str

    @property
    def begin(self) -> str:
        return f"<!-- {self.name}: begin -->\n"

    @property
    def end(self) -> str:
        return f"<!-- {self.name}: end -->\n"

    def replaced_in(self, text: str, content: str) -> str:
        before, _, rest = text.partition(self.begin)
        _, _, after = rest.partition(self.end)
        return before + self.begin + content + self.end + after

    def write(self, content: str) -> None:
        self.page.write_text(self.replaced_in(self.page.read_text(), content))


def percentile_95(found: list[float]) -> float:
    return sorted(found)[int(0.95 * (len(found) - 1))]
