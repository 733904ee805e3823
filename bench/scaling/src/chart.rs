//! Capacity and demand over time, as an SVG that any browser shows.

use std::fmt::Write;

use crate::outcome::Sample;

const WIDTH: f64 = 1_000.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 60.0;
const TOP: f64 = 40.0;

type Value = fn(&Sample) -> f64;

/// Draws slots: in use (filled), ready and on their way (lines), and the demand (tasks that wait or run), cut off where it is
/// more than a quarter above the capacity.
pub fn svg(title: &str, samples: &[Sample]) -> String {
    let from = samples.first().map_or(0.0, |sample| sample.at);
    let until = samples.last().map_or(1.0, |sample| sample.at).max(from + 1.0);
    let most = samples.iter().map(|sample| sample.ready + sample.booting).fold(1.0, f64::max) * 1.25;
    let x = |at: f64| LEFT + (at - from) / (until - from) * WIDTH;
    let y = |slots: f64| TOP + HEIGHT * (1.0 - slots.min(most) / most);
    let line = |value: Value| {
        samples
            .iter()
            .map(|sample| format!("{:.1},{:.1}", x(sample.at), y(value(sample))))
            .collect::<Vec<_>>()
            .join(" ")
    };
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {:.0} {:.0}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
        LEFT + WIDTH + 20.0,
        TOP + HEIGHT + 60.0
    );
    // Writing to a string cannot fail.
    let _ = writeln!(svg, "<text x=\"{LEFT}\" y=\"20\" font-size=\"15\">{}: slots over time</text>", escaped(title));
    for tick in 0..=4 {
        let slots = most * f64::from(tick) / 4.0;
        let at = from + (until - from) * f64::from(tick) / 4.0;
        let _ = writeln!(
            svg,
            "<line x1=\"{LEFT}\" x2=\"{:.0}\" y1=\"{1:.1}\" y2=\"{1:.1}\" stroke=\"#ddd\"/><text x=\"{2:.0}\" y=\"{3:.1}\" \
             text-anchor=\"end\">{slots:.0}</text><text x=\"{4:.1}\" y=\"{5:.0}\" text-anchor=\"middle\">{6:.1} h</text>",
            LEFT + WIDTH,
            y(slots),
            LEFT - 6.0,
            y(slots) + 4.0,
            x(at),
            TOP + HEIGHT + 18.0,
            at / 3_600.0
        );
    }
    let base = y(0.0);
    let _ = writeln!(
        svg,
        "<polygon points=\"{:.1},{base:.1} {} {:.1},{base:.1}\" fill=\"#9ecae1\"/>",
        x(from),
        line(|sample| sample.busy),
        x(until)
    );
    let lines: [(&str, &str, Value); 3] = [
        ("demand: tasks that wait or run", "#d62728", |sample| sample.demand),
        ("ready and booting", "#aaa", |sample| sample.ready + sample.booting),
        ("ready", "#1f77b4", |sample| sample.ready),
    ];
    for (place, (name, colour, value)) in lines.into_iter().enumerate() {
        let legend = LEFT + 300.0 * place as f64;
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/><text x=\"{legend:.0}\" y=\"{:.0}\" \
             fill=\"{colour}\">{name}</text>",
            line(value),
            TOP + HEIGHT + 42.0
        );
    }
    svg.push_str("</svg>\n");
    svg
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
