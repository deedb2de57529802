"""What mkdocs does not do by itself: pages from files elsewhere, a page of reference a module, equations as MathML."""

import html
import logging
import re
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]

ELSEWHERE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "models/README.md": "models.md",
}
"""Pages of the site that have other places in the repository, where a git host shows them."""

PLACE_OF_REFERENCE = "REFERENCE"
"""What stands in the navigation for the modules."""

EQUATION = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)

logger = logging.getLogger("mkdocs.hooks.site")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the modules into the navigation."""
    assert config.nav is not None
    for entry in config.nav:
        for title, content in entry.items():
            if content == PLACE_OF_REFERENCE:
                entry[title] = _navigation()
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie elsewhere and those of the modules."""
    for source, page in ELSEWHERE.items():
        text = _with_links_of_the_site((ROOT / source).read_text(encoding="utf-8"), source)
        files.append(File.generated(config, page, content=text))
    for module in _modules():
        files.append(File.generated(config, _page_of(module), content=f"::: {module}\n"))
    return files


def on_page_content(content: str, page: Page, **_: Any) -> str:
    """Turn equations in TeX into MathML, which browsers draw without a script."""

    def drawn(match: re.Match[str]) -> str:
        display = "block" if match[1] == "div" else "inline"
        try:
            return convert(html.unescape(match[2]).strip(), display=display)
        except Exception as error:
            logger.warning("%s: %s cannot be drawn (%s)", page.file.src_uri, match[2], error)
            return match[0]

    return EQUATION.sub(drawn, content)


def _modules() -> list[str]:
    """Names of all modules and packages that say what they are."""
    paths = sorted((ROOT / "aframe").rglob("*.py"))
    named = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in paths
        if not (path.stem.startswith("_") and path.stem != "__init__")
    }
    return sorted(name for name, path in named.items() if path.stat().st_size)


def _page_of(module: str) -> str:
    return f"reference/{module}.md"


def _navigation() -> list[Any]:
    """The modules of each package under its name; those of the top first."""
    top, packages = [], {}
    modules = _modules()
    for module in modules:
        package = ".".join(module.split(".")[:2])
        if (package == module and not any(other.startswith(f"{module}.") for other in modules)) or module == "aframe":
            top.append({module: _page_of(module)})
        else:
            packages.setdefault(package, []).append({module: _page_of(module)})
    return [*top, *({package: pages} for package, pages in packages.items())]


def _with_links_of_the_site(text: str, source: str) -> str:
    """The text of a page that lies elsewhere, with its relative links as they are in the site."""

    def moved(match: re.Match[str]) -> str:
        path, hash_sign, anchor = match[1].partition("#")
        target = (Path(source).parent / path).as_posix()
        target = ELSEWHERE.get(target.rstrip("/") + "/README.md", ELSEWHERE.get(target, target.removeprefix("docs/")))
        return f"]({target}{hash_sign}{anchor})"

    return re.sub(r"\]\((?!\w+:|#)([^)\s]+)\)", moved, text)
