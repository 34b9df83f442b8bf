"""The certificate as one page: no scripts, no other files, the verdict first."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path

from nas.devices.certificate import JSON_NAME, Certificate
from nas.devices.histogram import histogram
from nas.devices.measurement import Measurement, Percentile
from nas.devices.unproven import unproven
from nas.errors import RequestError

PAGE_NAME = "certificate.html"
_STYLE = """
:root{color-scheme:light dark;--ink:#1d2733;--soft:#5d6b7a;--line:#d8dee5;--paper:#fff;--bar:#8aa4bf;--best:#d1495b}
@media(prefers-color-scheme:dark){:root{--ink:#e6ebf0;--soft:#9aa8b6;--line:#3a4552;--paper:#161b21;--bar:#5b7894}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:46rem;margin:2rem auto;
padding:0 1rem}
h1{font-size:1.1rem;font-weight:600;margin:0}h2{font-size:1rem;margin:2rem 0 .4rem}
.verdict{font-size:2.6rem;font-weight:700;line-height:1.2;margin:.2rem 0}
.valid{color:#2b8a3e}.degraded{color:#b7791f}.rejected{color:#c92a2a}
p,ul{margin:.3rem 0}ul{padding-left:1.2rem}.soft,.tick,.beyond{color:var(--soft);fill:var(--soft)}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.25rem .6rem .25rem 0;
border-bottom:1px solid var(--line);vertical-align:top}th{font-weight:600}td:first-child{white-space:nowrap}
code{font-size:.8rem;overflow-wrap:anywhere}svg{width:100%;height:auto;margin-top:.6rem}
svg text{font:11px system-ui,sans-serif;fill:var(--ink)}svg .tick,svg .beyond{fill:var(--soft)}
.beyond{text-anchor:end}.bar{fill:var(--bar)}.axis{stroke:var(--line)}.band{fill:var(--best);opacity:.18}
.mark{stroke:var(--best);stroke-width:1.5}
"""
_MEANING = {
    "valid": "The device was fit, nothing disturbed what counts, and the median is known within 5 %.",
    "degraded": "The numbers may be used with the reservations below.",
    "rejected": "No number may be used: the device was not fit to be measured.",
}


def page(certificate: Certificate) -> str:
    """Return the page as HTML."""
    measured = certificate.measurement
    sections = [
        _head(certificate),
        _section("What was measured, and how sure it is", latency_rows(measured)),
        histogram(measured.samples_ns, {name: getattr(measured, name) for name in ("p50", "p95")}),
        _section("What else it takes", cost_rows(measured)),
        _section("On what", fingerprint_rows(measured)),
        _section("What was discarded", discarded_rows(measured)),
        "<h2>What this does not prove</h2>" + _list(unproven(measured)),
        _foot(certificate),
    ]
    title = f"{escape(certificate.model_name)} on {escape(measured.device)}: {measured.verdict}"
    body = "\n".join(part for part in sections if part)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width">'
        f"<style>{_STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def write(certificate: Certificate, folder: Path) -> None:
    """Write the certificate and its page into a folder, which is made.

    Raises:
        RequestError: The folder cannot be written to.
    """
    text = json.dumps(certificate.to_dict(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / JSON_NAME).write_text(text, encoding="utf-8")
        (folder / PAGE_NAME).write_text(page(certificate), encoding="utf-8")
    except OSError as error:
        raise RequestError(
            f"Cannot write the certificate to {folder} ({error.strerror}); name another folder with --out."
        ) from None


def latency_rows(measured: Measurement) -> list[tuple[str, str]]:
    """Percentiles with their 95 % intervals, and the ratio to the reference model."""
    names = ("p50", "p90", "p95", "p99")
    rows = [(name, text) for name in names if (text := _percentile(getattr(measured, name)))]
    if (pair := measured.paired) is not None:
        rows.append(
            ("against the reference model", f"{pair.ratio:.4g} times (95 %: {pair.low:.4g} to {pair.high:.4g})")
        )
        usual = f"{pair.reference_ms:.4g} ms meanwhile, {pair.level_ms:.4g} ms usually on this device"
        rows.append(("the reference itself", usual))
    if measured.mode["kind"] == "sustained" and "first_ms" in measured.mode:
        first, last = measured.mode["first_ms"], measured.mode["last_ms"]
        rows.append(
            ("first and last minute", f"{first:.4g} ms, then {last:.4g} ms ({100 * (last / first - 1):+.0f} %)")
        )
    return rows or [("latency", "not measured")]


def cost_rows(measured: Measurement) -> list[tuple[str, str]]:
    """Memory, file size, energy, and what the measuring itself costs."""
    rows = [("file", f"{measured.file_size_kb:.4g} kB")]
    if measured.peak_memory_mb is not None:
        beyond = "" if measured.model_memory_mb is None else f", {measured.model_memory_mb:.3g} MB of it the model's"
        rows.append(("peak memory", f"{measured.peak_memory_mb:.4g} MB of the process{beyond}"))
    rows.append(("energy", _energy(measured)))
    if (audit := measured.audit) is not None and audit["overhead_ns"] is not None:
        rows.append(("timing itself", f"{audit['overhead_ns']:.0f} ns per inference"))
    return rows


def fingerprint_rows(measured: Measurement) -> list[tuple[str, str]]:
    """The machine and the software, as far as they told."""
    facts = measured.fingerprint
    names = {"board": "board", "cpu_model": "processor", "cores": "cores", "kernel": "kernel", "governor": "governor"}
    names |= {"power_mode": "power mode", "temperature_c": "temperature °C", "libc": "C library", "python": "Python"}
    ran = f"{measured.runtime} {facts.get('runtime_version') or ''} by {measured.provider or 'nobody'}"
    rows = [(label, str(facts[name])) for name, label in names.items() if facts.get(name) is not None]
    return [
        ("device", measured.device),
        ("runtime", f"{ran}, {measured.threads} {'thread' if measured.threads == 1 else 'threads'}"),
        *rows,
    ]


def discarded_rows(measured: Measurement) -> list[tuple[str, str]]:
    """What does not count, and why."""
    counts = measured.counts
    lost = f"{counts['lost_rounds']} rounds and {counts['lost_launches']} launches lost"
    kept = f"{counts['timed']} inferences count, from {counts['launches']} launches; {lost}"
    return [("kept", kept), *((reason, f"{count} times") for reason, count in sorted(measured.discarded.items()))]


def _head(certificate: Certificate) -> str:
    measured = certificate.measurement
    mode = {"single": "single requests", "sustained": "a sustained load", "duty": "requests with pauses"}
    how = f"{measured.tier}, {mode[measured.mode['kind']]}, batch 1"
    return (
        f"<h1>{escape(certificate.model_name)} on {escape(measured.device)}</h1>"
        f'<p class="verdict {measured.verdict}">{measured.verdict}</p><p>{_MEANING[measured.verdict]}</p>'
        f"{_list(measured.reasons)}{_list(measured.notes)}"
        f'<p class="soft">{how}; {escape(certificate.issued)}; {escape(certificate.made_by)}</p>'
    )


def _foot(certificate: Certificate) -> str:
    measured = certificate.measurement
    rows = [
        ("model", f"<code>{measured.model_sha}</code>"),
        ("this certificate", f"<code>{certificate.sha}</code>"),
    ]
    note = "The SHA-256 shows whether something was changed, with <code>nas measure --check</code>; it is no signature."
    return f'<h2>Hashes</h2>{_table(rows)}<p class="soft">{note}</p>'


def _percentile(found: Percentile | None) -> str:
    return "" if found is None else f"{found.ms:.4g} ms (95 %: {found.low:.4g} to {found.high:.4g})"


def _energy(measured: Measurement) -> str:
    energy = measured.energy
    if energy is None:
        return "no energy sensor"
    if energy.energy_mj is None:
        return f"not readable from {energy.sensor}"
    return f"{energy.energy_mj:.3g} mJ per inference above idle, by {energy.sensor} ({', '.join(energy.rails)})"


def _section(title: str, rows: Sequence[tuple[str, str]]) -> str:
    return f"<h2>{title}</h2>" + _table([(escape(name), escape(text)) for name, text in rows])


def _table(rows: Sequence[tuple[str, str]]) -> str:
    return "<table>" + "".join(f"<tr><td>{name}</td><td>{text}</td></tr>" for name, text in rows) + "</table>"


def _list(sentences: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(one)}</li>" for one in sentences) + "</ul>" if sentences else ""
