//! `top` on the terminal: what is wrong at the top, what happens at the bottom.

use super::view::{View, error_share, is_broken, time};
use crate::{events, length, output::Tone, output::plain};
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Block, Borders, Cell, Paragraph, Row, Table, TableState},
};
use seawall_server::wire::{Alert, CircuitLine, OperationView};
use std::time::{Duration, Instant};

/// Alerts shown at once; how many there are is said.
const MOST_ALERTS: usize = 4;

/// Draws the whole view.
pub(super) fn draw(frame: &mut Frame<'_>, view: &View) {
    let alerts = view.snapshot().map_or(&[][..], |(now, _)| &now.alerts);
    let alert_lines = alerts.len().min(MOST_ALERTS) + usize::from(alerts.len() > MOST_ALERTS);
    let height = frame.area().height;
    let [head, banner, top, rows, detail, tail, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(u16::from(view.broken.is_some())),
        Constraint::Length(u16::try_from(alert_lines).unwrap_or(0)),
        Constraint::Min(3),
        Constraint::Length(u16::from(view.selected_row().is_some())),
        Constraint::Length(height / 4),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(heading(view), head);
    draw_banner(frame, banner, view);
    frame.render_widget(Paragraph::new(alert_text(view, alerts)), top);
    draw_rows(frame, rows, view);
    draw_detail(frame, detail, view);
    draw_tail(frame, tail, view);
    frame.render_widget(footing(view), foot);
}

fn style(view: &View, tone: Tone) -> Style {
    let usual = Style::new();
    let (colour, modifier) = match tone {
        Tone::Usual => return usual,
        Tone::Good => (Color::Green, Modifier::empty()),
        Tone::Warning => (Color::Yellow, Modifier::empty()),
        Tone::Bad => (Color::Red, Modifier::BOLD),
        Tone::Quiet => return usual.add_modifier(Modifier::DIM),
        Tone::Strong => return usual.add_modifier(Modifier::BOLD),
    };
    // Without colours the words say it all.
    let style = usual.add_modifier(modifier);
    if view.colours { style.fg(colour) } else { style }
}

fn span(view: &View, tone: Tone, text: impl AsRef<str>) -> Span<'static> {
    Span::styled(plain(text.as_ref()), style(view, tone))
}

fn heading(view: &View) -> Paragraph<'static> {
    let mut spans = vec![span(view, Tone::Strong, format!("Seawall {}", view.where_it_is))];
    if let Some((now, _)) = view.snapshot() {
        let circuits = now.operations.iter().filter_map(|one| one.circuit.as_ref());
        let (open, all) =
            (circuits.clone().filter(|circuit| is_broken(circuit)).count(), circuits.count());
        let tone = if open == 0 { Tone::Good } else { Tone::Bad };
        let word = if all == 1 { "circuit" } else { "circuits" };
        spans.push("  ".into());
        spans.push(span(view, tone, format!("{open} of {all} {word} not closed")));
        let (version, preset, revision) = (&now.version, &now.preset, now.revision);
        let up = length::short(now.uptime_ms);
        let more = format!("  {version}, preset {preset}, revision {revision}, up {up}");
        spans.push(span(view, Tone::Quiet, more));
        if now.repeats_paused {
            spans.push(span(view, Tone::Warning, "  ALL RETRIES PAUSED"));
        }
    }
    if view.is_paused() {
        spans.push(span(view, Tone::Warning, "  PAUSED"));
    }
    Paragraph::new(Line::from(spans))
}

fn draw_banner(frame: &mut Frame<'_>, area: Rect, view: &View) {
    let Some(broken) = &view.broken else { return };
    let now = Instant::now();
    let since = length::short(millis(broken.since.elapsed()));
    let again = length::short(millis(broken.again_at.saturating_duration_since(now)));
    let text = format!(
        " CONNECTION CUT {since} ago: what you see is old. Next attempt in {again}. {}",
        broken.why
    );
    let style = style(view, Tone::Bad).add_modifier(Modifier::REVERSED);
    frame.render_widget(Paragraph::new(plain(&text)).style(style), area);
}

fn alert_text(view: &View, alerts: &[Alert]) -> Vec<Line<'static>> {
    let mut lines: Vec<Line<'static>> = alerts
        .iter()
        .take(MOST_ALERTS)
        .map(|alert| {
            let taken = alert.acknowledged_by.as_ref().map(|who| format!("  (taken by {who})"));
            let operation = alert.operation.as_deref().unwrap_or("");
            let began = alert.began();
            let since = began.get(11..19).unwrap_or(&began);
            Line::from(vec![
                span(
                    view,
                    Tone::of_level(alert.level),
                    format!("{:8} ", alert.level.label().to_uppercase()),
                ),
                span(view, Tone::Strong, format!("{operation} ")),
                span(view, Tone::Usual, &alert.description),
                span(view, Tone::Quiet, format!("  since {since}{}", taken.unwrap_or_default())),
            ])
        })
        .collect();
    if alerts.len() > MOST_ALERTS {
        let more = format!("and {} more alerts: `seawall alerts`", alerts.len() - MOST_ALERTS);
        lines.push(Line::from(span(view, Tone::Warning, more)));
    }
    lines
}

fn draw_rows(frame: &mut Frame<'_>, area: Rect, view: &View) {
    let Some((_, age)) = view.snapshot() else {
        let text = format!("waiting for {} …", view.where_it_is);
        return frame.render_widget(Paragraph::new(plain(&text)), area);
    };
    let rows = view.rows();
    let longest = rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(4);
    let head = [
        "operation",
        "circuit",
        "probe in",
        "calls/s",
        "refused/s",
        "errors",
        "p95",
        "retries/s",
        "in flight",
        "last hour",
    ];
    let widths = [
        Constraint::Length(u16::try_from(longest.clamp(9, 32)).unwrap_or(32)),
        Constraint::Length(17),
        Constraint::Length(11),
        Constraint::Length(8),
        Constraint::Length(9),
        Constraint::Length(7),
        Constraint::Length(9),
        Constraint::Length(9),
        Constraint::Length(9),
        Constraint::Min(10),
    ];
    let table = Table::new(rows.iter().map(|one| row(view, one, age)), widths)
        .header(Row::new(head).style(style(view, Tone::Strong)))
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    let mut state = TableState::default().with_selected(view.selected_row());
    frame.render_stateful_widget(table, area, &mut state);
}

fn row(view: &View, one: &OperationView, age: Duration) -> Row<'static> {
    let (tone, state) = match &one.circuit {
        Some(circuit) => Tone::of_circuit(circuit.state, circuit.mode),
        None => (Tone::Quiet, "-".into()),
    };
    let errors = error_share(one);
    let error_tone = match errors {
        Some(share) if share > 0.1 => Tone::Bad,
        Some(share) if share > 0.05 => Tone::Warning,
        _ => Tone::Usual,
    };
    let errors = errors.map_or_else(|| "-".into(), |share| format!("{:.1} %", share * 100.0));
    let p95 = one.latency_ms.p95.map_or_else(|| "-".into(), |ms| format!("{ms:.1} ms"));
    let retries = if one.repeats_paused {
        span(view, Tone::Warning, "paused")
    } else {
        span(view, Tone::Usual, format!("{:.1}", one.rates.retries))
    };
    let probe = one.circuit.as_ref().map(|circuit| probe(circuit, age)).unwrap_or_default();
    Row::new([
        Cell::from(plain(&one.name)),
        Cell::from(span(view, tone, state)),
        Cell::from(probe),
        Cell::from(format!("{:.1}", one.rates.calls)),
        Cell::from(format!("{:.1}", one.rates.rejected)),
        Cell::from(span(view, error_tone, errors)),
        Cell::from(p95),
        Cell::from(retries),
        Cell::from(one.in_flight.to_string()),
        Cell::from(strip(view, &one.hour)),
    ])
}

/// The countdown goes on while the next snapshot is on its way.
fn probe(circuit: &CircuitLine, age: Duration) -> String {
    match circuit.next_probe_in_ms.map(|ms| ms.saturating_sub(millis(age))) {
        Some(0) => "now".into(),
        Some(ms) => length::short(ms),
        None => String::new(),
    }
}

/// A minute is one sign: what stands out is bad.
fn strip(view: &View, hour: &str) -> Line<'static> {
    let sign = |minute| match minute {
        'c' => ("·", Tone::Good),
        'h' => ("◐", Tone::Warning),
        'o' => ("█", Tone::Bad),
        'f' => ("F", Tone::Warning),
        's' => ("░", Tone::Warning),
        _ => (" ", Tone::Quiet),
    };
    Line::from(
        hour.chars().map(sign).map(|(sign, tone)| span(view, tone, sign)).collect::<Vec<_>>(),
    )
}

fn draw_detail(frame: &mut Frame<'_>, area: Rect, view: &View) {
    let rows = view.rows();
    let Some(one) = view.selected_row().and_then(|row| rows.get(row)) else { return };
    let told = match &one.circuit {
        None => "no circuit breaker".into(),
        Some(circuit) => {
            let since = length::short(circuit.in_state_ms);
            let failures = match circuit.threshold {
                Some(threshold) => format!("{}/{threshold} failures", circuit.failure_count),
                None => format!("{} failures", circuit.failure_count),
            };
            let reason =
                circuit.reason.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
            let (_, state) = Tone::of_circuit(circuit.state, circuit.mode);
            // Of an outage with probes in between, the state's time says little.
            let longer =
                circuit.broken_for_ms.filter(|broken| *broken >= circuit.in_state_ms + 1000);
            let longer = longer
                .map(|broken| format!(" (not closed for {})", length::short(broken)))
                .unwrap_or_default();
            format!("{state} for {since}{longer}, {failures}{reason}")
        }
    };
    let line =
        vec![span(view, Tone::Strong, format!("{} ", one.name)), span(view, Tone::Usual, told)];
    frame.render_widget(Paragraph::new(Line::from(line)), area);
}

fn draw_tail(frame: &mut Frame<'_>, area: Rect, view: &View) {
    let block = Block::new().borders(Borders::TOP).title("events");
    let inside = block.inner(area);
    frame.render_widget(block, area);
    let events = view.tail();
    let first = events.len().saturating_sub(usize::from(inside.height));
    let lines: Vec<Line<'_>> = events[first..]
        .iter()
        .map(|one| {
            Line::from(vec![
                span(view, Tone::Quiet, format!("{} ", time(one))),
                span(view, Tone::Strong, format!("{} ", one.operation)),
                span(view, events::tone(&one.kind), format!("{} ", one.kind)),
                span(view, Tone::Usual, &one.text),
            ])
        })
        .collect();
    frame.render_widget(Paragraph::new(lines), inside);
}

fn footing(view: &View) -> Paragraph<'static> {
    let text = match (view.typing, view.filter.is_empty()) {
        (true, _) => format!("filter: {}▏  Enter keeps it, Esc drops it", view.filter),
        (false, false) => format!("only {}  Esc shows all  q quit  p pause", view.filter),
        (false, true) => "q quit  ↑ ↓ select  p pause  / filter".into(),
    };
    Paragraph::new(Line::from(span(view, Tone::Quiet, text)))
}

fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}
