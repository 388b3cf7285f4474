"""The look of the lab: a theme of system fonts (none is fetched), and the style of what pages share."""

from __future__ import annotations

from typing import Any

from vqkit.optional import require

_SANS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Noto Sans", "Arial", "sans-serif")
_MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "DejaVu Sans Mono", "monospace")

HEAD = '<meta name="referrer" content="no-referrer"><meta name="color-scheme" content="light dark">'
CSS = """
.gradio-container { --body-text-color-subdued: #475569; --block-label-text-color: #334155;
  --block-title-text-color: #334155; width: 100% !important; max-width: min(1180px, 100vw) !important;
  min-width: 0 !important; margin: 0 auto !important; padding: 0 12px !important; box-sizing: border-box; }
.dark .gradio-container, .gradio-container.dark, .dark { --body-text-color-subdued: #cbd5e1;
  --block-label-text-color: #e2e8f0; --block-title-text-color: #e2e8f0; }
.gradio-container .main, .gradio-container main { padding: 0 8px 24px !important; }
.gradio-container :is(.column, .block, .html-container, .prose, .main, .wrap, .contain, .tabs, .tabitem, .row, .form) {
  min-width: 0; max-width: 100%; }
.gradio-container .main, .gradio-container main { width: 100% !important; box-sizing: border-box; }
.gradio-container .pending { opacity: 1 !important; }
.vq-header { display: flex; flex-wrap: wrap; align-items: baseline; gap: 4px 14px; padding: 14px 2px 4px; }
.vq-header h1 { font-size: 1.45rem; font-weight: 650; margin: 0; letter-spacing: -0.01em; }
.vq-header p { margin: 0; color: var(--body-text-color-subdued); flex: 1 1 260px; }
.vq-version { color: var(--body-text-color-subdued); font-size: 0.85rem; }
.vq-help { color: var(--body-text-color-subdued); margin: 2px 2px 4px; max-width: 70ch; line-height: 1.45; }
.vq-nothing { padding: 24px 4px; max-width: 70ch; }
.vq-say { margin: 0; padding: 8px 12px; border-radius: 8px; line-height: 1.45; overflow-wrap: anywhere;
  border-left: 4px solid #b45309; background: #fef3c7; color: #451a03; }
.dark .vq-say { background: #3b2a0a; color: #fde9c3; border-left-color: #f59e0b; }
.vq-note { color: var(--body-text-color-subdued); margin: 4px 2px; font-size: 0.92rem; overflow-wrap: anywhere; }
.vq-working { font-style: italic; }
.vq-summary { display: flex; flex-wrap: wrap; gap: 6px; margin: 4px 0; }
.vq-summary span { padding: 3px 10px; border-radius: 999px; background: var(--background-fill-secondary);
  border: 1px solid var(--border-color-primary); font-variant-numeric: tabular-nums; }
.vq-scroll { overflow-x: auto; }
.gradio-container table.vq-table, .gradio-container table.vq-table :is(th, td, tr) { border-left: 0 !important;
  border-right: 0 !important; }
.vq-codes, .vq-codes :is(.gallery-container, .grid-wrap) { height: auto !important; min-height: 0 !important;
  max-height: none !important; }
.vq-codes .grid-container { grid-template-columns: repeat(auto-fill, minmax(76px, 1fr)) !important;
  height: auto !important; grid-template-rows: none !important; }
.vq-runs, .vq-runs :is(.gallery-container, .grid-wrap) { height: auto !important; min-height: 0 !important;
  max-height: none !important; }
.vq-runs .grid-container { grid-template-columns: repeat(auto-fit, minmax(min(280px, 100%), 1fr)) !important;
  height: auto !important; grid-template-rows: none !important; }
.vq-runs .thumbnail-item, .vq-runs .gallery-item button { aspect-ratio: auto !important; height: auto !important; }
.vq-cell { margin: 4px 2px; }
.vq-caption { margin: 2px 2px 0; font-weight: 600; font-size: 0.92rem; }
.vq-caption small { font-weight: 400; color: var(--body-text-color-subdued); font-size: inherit; }
table.vq-table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
table.vq-table th, table.vq-table td { padding: 6px 10px; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--border-color-primary); }
table.vq-table th { font-weight: 600; color: var(--body-text-color-subdued); font-size: 0.88rem; }
table.vq-table th:first-child, table.vq-table td:first-child { text-align: left; }
.gradio-container :is(:focus-visible, canvas:focus) { outline: 3px solid #2563eb !important; outline-offset: 2px; }
.dark .gradio-container :is(:focus-visible, canvas:focus) { outline-color: #93c5fd !important; }
@media (max-width: 640px) {
  .gradio-container, .gradio-container .main, .gradio-container main { padding: 0 3px !important; }
  table.vq-table th, table.vq-table td { padding: 5px 7px; font-size: 0.9rem; }
}
"""


def theme() -> Any:
    """Return the theme: gradio's default in blue, with the fonts that the system has."""
    gr = require("gradio", "Pages of the lab")
    return gr.themes.Default(
        primary_hue="blue",
        secondary_hue="blue",
        neutral_hue="slate",
        font=_SANS,
        font_mono=_MONO,
        spacing_size="sm",
        radius_size="md",
    )
