"""How Sphinx builds this documentation: ``sphinx-build -nW docs build/docs``."""

from __future__ import annotations

from importlib.metadata import version as version_of

project = "wsgi-redis-session"
copyright = "its contributors"  # noqa: A001  # Sphinx calls it so
release = version = version_of(project)

extensions = ["sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"{project} {release}"
pygments_style = "friendly"
pygments_dark_style = "monokai"

autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_preserve_defaults = True

# References to what is documented elsewhere, or is no class of its own.
nitpick_ignore_regex = [
    ("py:.*", r"(datetime|itsdangerous|werkzeug|redis|flask|cabc|t)\..*"),
    ("py:exc", "[A-Z][A-Za-z]+"),
]
