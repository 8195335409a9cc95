# SPDX-License-Identifier: Apache-2.0
"""A hook of MkDocs: files of the repository that pages link to as ``../FILE`` are part of the site, so that these links work
there as they do in the repository."""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

_FOLDER = "repository/"
_LINK = re.compile(r"\]\(\.\./([^)#\s]+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add each file outside of ``docs/`` that a page links to."""
    root = Path(config.config_file_path).parent
    linked = {name for page in files.documentation_pages() for name in _LINK.findall(page.content_string)}
    for name in sorted(linked):
        files.append(File.generated(config, f"{_FOLDER}{name}", abs_src_path=str(root / name)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn ``../FILE`` into where `on_files` put it, and in what it put there ``docs/PAGE`` into the page."""
    if page.file.src_uri.startswith(_FOLDER):
        return markdown.replace("](docs/", "](../")
    return _LINK.sub(rf"]({_FOLDER}\1", markdown)
