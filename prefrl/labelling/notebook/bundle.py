"""The front end as one ES module: the label page's files, with the notebook's replacing those of the same name."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

from prefrl.labelling.static_files import STATIC as PAGE

OURS = Path(__file__).parent / "static"
STYLES = ("style.css", "pages.css", "cell.css")
_IMPORT = re.compile(r'^import (\{.+\}) from "\./(\w+)\.js";$', re.M)
_EXPORT = re.compile(r"^export (?=(?:async function|function|class|const) (\w+))", re.M)
_OTHER = re.compile(r"^(?:import|export)\b.*", re.M)


@cache
def bundle() -> str:
    """An ES module whose default export is a widget of anywidget. Every view gets modules of its own, like a page."""
    written: dict[str, str] = {}
    _write("cell", written)
    styles = json.dumps(
        "\n".join((OURS if (OURS / name).exists() else PAGE).joinpath(name).read_text() for name in STYLES)
    )
    modules = "\n".join(written.values())
    return f"""\
function loaded() {{
const STYLES = {styles};
{modules}
return $cell;
}}
export default {{render: (context) => loaded().render(context)}};
"""


def _write(name: str, written: dict[str, str]) -> None:
    """Add a module after those that it imports, as a function that is called at once: names stay its own."""
    if name in written:
        return
    source = (OURS if (OURS / f"{name}.js").exists() else PAGE).joinpath(f"{name}.js").read_text()
    for _, needed in _IMPORT.findall(source):
        _write(needed, written)
    exported = ", ".join(_EXPORT.findall(source))
    body = _EXPORT.sub("", _IMPORT.sub(r"const \1 = $\2;", source))
    assert not (left := _OTHER.search(body)), f"{name}.js: {left and left[0]!r} cannot be bundled"
    written[name] = f"const ${name} = (() => {{\n{body}\nreturn {{{exported}}};\n}})();"
