//! The demo as a live view on a terminal.

use super::stage::{Ended, Look, Stage};
use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyModifiers};
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style, Stylize},
    text::{Line, Span},
    widgets::{Block, Gauge, Paragraph, Sparkline},
};
use seawall::State;
use seawall_load::open_loop::Progress;
use std::time::Duration;

/// The history that the view draws: the share of successes, for each tenth of a second.
#[derive(Default)]
struct History {
    direct: Vec<u64>,
    seawall: Vec<u64>,
}

/// Shows the stage until it is over, or the user stops it.
pub(super) async fn show(stage: &Stage) -> Result<Ended, String> {
    let mut terminal = ratatui::try_init().map_err(|error| format!("no terminal: {error}"))?;
    let mut history = History::default();
    let mut broken = None;
    let ended = stage
        .watch(|stage| {
            let look = stage.look();
            history.note(&look);
            if let Err(error) = terminal.draw(|frame| draw(frame, stage, &look, &history)) {
                broken = Some(error.to_string());
            }
            broken.is_some() || stop_asked()
        })
        .await;
    ratatui::restore();
    match broken {
        Some(error) => Err(format!("the terminal is gone: {error}")),
        None => Ok(ended),
    }
}

fn stop_asked() -> bool {
    while event::poll(Duration::ZERO).unwrap_or(false) {
        let Ok(Event::Key(KeyEvent { code, modifiers, .. })) = event::read() else { continue };
        let interrupt = code == KeyCode::Char('c') && modifiers.contains(KeyModifiers::CONTROL);
        if interrupt || matches!(code, KeyCode::Char('q') | KeyCode::Esc) {
            return true;
        }
    }
    false
}

fn share(progress: &Progress) -> Option<f64> {
    let recent = &progress.recent;
    let ended = recent.successes + recent.errors;
    (ended > 0).then(|| recent.successes as f64 / ended as f64)
}

impl History {
    fn note(&mut self, look: &Look) {
        let percent = |progress| (share(progress).unwrap_or(0.0) * 100.0) as u64;
        self.direct.push(percent(&look.direct));
        self.seawall.push(percent(&look.seawall));
    }
}

fn draw(frame: &mut Frame<'_>, stage: &Stage, look: &Look, history: &History) {
    let [head, bar, sides, circuit, foot] = Layout::vertical([
        Constraint::Length(2),
        Constraint::Length(3),
        Constraint::Length(9),
        Constraint::Min(4),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    let title = Line::from(vec![
        " Seawall ".bold().reversed(),
        " the same load, straight to two flaky upstreams and through the gateway".into(),
    ]);
    frame.render_widget(Paragraph::new(title), head);
    draw_timeline(frame, bar, stage, look);
    let [left, right] = Layout::horizontal([Constraint::Ratio(1, 2); 2]).areas(sides);
    draw_side(frame, left, " straight ", &look.direct, &history.direct, look.reached[0]);
    draw_side(frame, right, " through Seawall ", &look.seawall, &history.seawall, look.reached[1]);
    draw_circuit(frame, circuit, stage, look);
    let hint = format!(" dashboard: http://{}/dashboard    q: stop", stage.address);
    frame.render_widget(Paragraph::new(hint).style(Style::new().dim()), foot);
}

fn draw_timeline(frame: &mut Frame<'_>, area: Rect, stage: &Stage, look: &Look) {
    let total = stage.timeline.total.as_secs_f64();
    let color = match look.phase.as_str() {
        "slow" => Color::Yellow,
        "outage" => Color::Red,
        _ => Color::Green,
    };
    let phases: Vec<&str> = stage.timeline.phases.iter().map(|phase| phase.name.as_str()).collect();
    let gauge = Gauge::default()
        .block(Block::bordered().title(format!(" upstreams: {} ", phases.join(" → "))))
        .gauge_style(Style::new().fg(color))
        .ratio((look.at.as_secs_f64() / total).clamp(0.0, 1.0))
        .label(format!("{}  {:.1} s of {total:.0} s", look.phase, look.at.as_secs_f64()));
    frame.render_widget(gauge, area);
}

fn draw_side(
    frame: &mut Frame<'_>,
    area: Rect,
    title: &'static str,
    progress: &Progress,
    history: &[u64],
    reached: u64,
) {
    let block = Block::bordered().title(title);
    let inside = block.inner(area);
    frame.render_widget(block, area);
    let [figures, chart] =
        Layout::vertical([Constraint::Length(4), Constraint::Min(2)]).areas(inside);
    let now = share(progress).unwrap_or(0.0) * 100.0;
    let color = if now >= 99.0 {
        Color::Green
    } else if now >= 90.0 {
        Color::Yellow
    } else {
        Color::Red
    };
    let ended = progress.successes + progress.errors.total();
    let whole = if ended == 0 { 0.0 } else { progress.successes as f64 * 100.0 / ended as f64 };
    let lines = vec![
        Line::from(vec![
            "now    ".into(),
            Span::styled(
                format!("{now:5.1} % ok"),
                Style::new().fg(color).add_modifier(Modifier::BOLD),
            ),
            format!(
                "   p50 {:.0} ms   p99 {:.0} ms",
                progress.recent.p50_ms, progress.recent.p99_ms
            )
            .into(),
        ]),
        Line::from(format!("in all {whole:5.1} % of {ended} requests")),
        Line::from(format!("calls that reached the flaky upstreams: {reached}")),
    ];
    frame.render_widget(Paragraph::new(lines), figures);
    let width = usize::from(chart.width);
    let recent = &history[history.len().saturating_sub(width)..];
    let line = Sparkline::default().data(recent).max(100).style(Style::new().fg(color));
    frame.render_widget(line, chart);
}

fn draw_circuit(frame: &mut Frame<'_>, area: Rect, stage: &Stage, look: &Look) {
    let (icon, color) = match look.circuit {
        State::Closed | State::ForcedClosed | State::Disabled => ("● closed", Color::Green),
        State::Open | State::ForcedOpen => ("■ open", Color::Red),
        State::HalfOpen => ("◐ half-open", Color::Yellow),
    };
    let title = Line::from(vec![
        " circuit ".into(),
        Span::styled(icon, Style::new().fg(color).bold()),
        format!("   backup has answered {} ", look.steady).into(),
    ]);
    let block = Block::bordered().title(title);
    let rows = usize::from(block.inner(area).height);
    let changes = stage.changes();
    let recent = changes.iter().rev().take(rows);
    let lines: Vec<Line<'_>> = recent
        .map(|(at, change)| Line::from(format!("{:6.2} s  {change}", at.as_secs_f64())))
        .collect();
    frame.render_widget(Paragraph::new(lines).block(block), area);
}
