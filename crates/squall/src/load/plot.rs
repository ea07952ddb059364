//! Latency by percentile, as a picture.

use std::fmt::Write;
use std::time::Duration;

use super::Report;
use super::report::readable;

/// Draws the latency of each of `series`, with its name, by percentile: an SVG document of 1000 by 540 pixels. The
/// percentiles stand as far apart as their rarity grows tenfold (0, 90, 99, 99.9 …), as far as the number of replies
/// bears it. The latency is on a linear scale from zero, and on a logarithmic one where the highest is more than
/// twenty times the lowest. Seven series can be told apart by colour.
pub fn plot(title: &str, series: &[(&str, &Report)]) -> String {
    let series: Vec<_> = series.iter().copied().filter(|(_, report)| report.replies > 0).collect();
    let frame = Frame::around(&series);
    let mut svg = String::new();
    // Writing to a string cannot fail.
    let _ = draw(&mut svg, title, &series, &frame);
    svg
}

fn draw(
    svg: &mut String,
    title: &str,
    series: &[(&str, &Report)],
    frame: &Frame,
) -> Result<(), std::fmt::Error> {
    writeln!(
        svg,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="13" fill="#333">"##
    )?;
    writeln!(svg, r##"<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>"##)?;
    writeln!(svg, r##"<text x="{LEFT}" y="30" font-size="17" font-weight="bold">{}</text>"##, escape(title))?;
    draw_axes(svg, frame)?;
    for (index, (name, report)) in series.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let points = frame.points(report);
        writeln!(
            svg,
            r##"<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2" stroke-linejoin="round"/>"##
        )?;
        let (x, y) = (RIGHT + 20.0, TOP + 8.0 + 48.0 * index as f64);
        writeln!(
            svg,
            r##"<line x1="{x}" y1="{y}" x2="{}" y2="{y}" stroke="{colour}" stroke-width="3"/>"##,
            x + 22.0
        )?;
        writeln!(svg, r##"<text x="{}" y="{}">{}</text>"##, x + 30.0, y + 4.0, escape(name))?;
        let summary =
            format!("p50 {}, p99.9 {}", readable(report.latency(50.0)), readable(report.latency(99.9)));
        writeln!(
            svg,
            r##"<text x="{}" y="{}" font-size="11" fill="#777">{summary}</text>"##,
            x + 30.0,
            y + 20.0
        )?;
    }
    writeln!(svg, "</svg>")
}

fn draw_axes(svg: &mut String, frame: &Frame) -> Result<(), std::fmt::Error> {
    for nines in 0..=frame.nines as u32 {
        let x = frame.x(f64::from(nines));
        let label = match nines {
            0 => "0 %".to_owned(),
            1 => "90 %".to_owned(),
            2 => "99 %".to_owned(),
            _ => format!("99.{} %", "9".repeat(nines as usize - 2)),
        };
        writeln!(svg, r##"<line x1="{x:.1}" y1="{TOP}" x2="{x:.1}" y2="{BOTTOM}" stroke="#e4e4e4"/>"##)?;
        writeln!(svg, r##"<text x="{x:.1}" y="{}" text-anchor="middle">{label}</text>"##, BOTTOM + 20.0)?;
    }
    for value in frame.ticks() {
        let y = frame.y(value);
        let label = tick_label(value);
        writeln!(svg, r##"<line x1="{LEFT}" y1="{y:.1}" x2="{RIGHT}" y2="{y:.1}" stroke="#e4e4e4"/>"##)?;
        writeln!(svg, r##"<text x="{}" y="{:.1}" text-anchor="end">{label}</text>"##, LEFT - 8.0, y + 4.5)?;
    }
    writeln!(
        svg,
        r##"<path d="M{LEFT} {TOP}V{BOTTOM}H{RIGHT}" fill="none" stroke="#888" stroke-width="1"/>"##
    )?;
    let middle = (LEFT + RIGHT) / 2.0;
    writeln!(
        svg,
        r##"<text x="{middle}" y="{}" text-anchor="middle">share of the requests that were answered within the latency</text>"##,
        BOTTOM + 46.0
    )?;
    let (x, y) = (22.0, (TOP + BOTTOM) / 2.0);
    let scale = if frame.lowest > 0.0 { "latency (logarithmic)" } else { "latency" };
    writeln!(
        svg,
        r##"<text x="{x}" y="{y}" text-anchor="middle" transform="rotate(-90 {x} {y})">{scale}</text>"##
    )
}

/// What the axes span. Latency in nanoseconds.
struct Frame {
    /// 0 on a linear scale.
    lowest: f64,
    highest: f64,
    /// The last percentile, as how many nines it has.
    nines: f64,
}

impl Frame {
    fn around(series: &[(&str, &Report)]) -> Self {
        let nanoseconds = |time: Duration| time.as_nanos() as f64;
        let lowest = series.iter().map(|(_, it)| nanoseconds(it.min_latency())).fold(f64::INFINITY, f64::min);
        let highest = series.iter().map(|(_, it)| nanoseconds(it.max_latency())).fold(0.0, f64::max).max(1.0);
        let replies = series.iter().map(|(_, it)| it.replies).max().unwrap_or(0).max(1);
        let nines = (replies as f64).log10().clamp(2.0, 7.0);
        let logarithmic = highest > 20.0 * lowest.max(1.0) && lowest.is_finite();
        if logarithmic {
            Self { lowest: lowest.max(1.0) / 1.2, highest: highest * 1.2, nines }
        } else {
            Self { lowest: 0.0, highest: highest * 1.1, nines }
        }
    }

    fn x(&self, nines: f64) -> f64 {
        LEFT + (RIGHT - LEFT) * nines / self.nines
    }

    fn y(&self, nanoseconds: f64) -> f64 {
        let share = if self.lowest > 0.0 {
            (nanoseconds.max(self.lowest) / self.lowest).ln() / (self.highest / self.lowest).ln()
        } else {
            nanoseconds / self.highest
        };
        BOTTOM - (BOTTOM - TOP) * share
    }

    /// Round latencies within the frame.
    fn ticks(&self) -> Vec<f64> {
        let decade = |value: f64| 10_f64.powi(value.log10().floor() as i32);
        if self.lowest > 0.0 {
            let decades = (self.highest / self.lowest).log10();
            let steps: &[f64] = if decades > 4.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
            let mut ticks = Vec::new();
            let mut power = decade(self.lowest);
            while power <= self.highest {
                ticks.extend(steps.iter().map(|step| step * power));
                power *= 10.0;
            }
            ticks.retain(|tick| (self.lowest..=self.highest).contains(tick));
            return ticks;
        }
        let rough = self.highest / 6.0;
        let power = decade(rough);
        let step = power
            * if rough < 2.0 * power {
                2.0
            } else if rough < 5.0 * power {
                5.0
            } else {
                10.0
            };
        (0..).map(|number| f64::from(number) * step).take_while(|tick| *tick <= self.highest).collect()
    }

    /// The series' line, as far as its own replies bear it.
    fn points(&self, report: &Report) -> String {
        let end = (report.replies as f64).log10().min(self.nines);
        let steps = 400;
        let mut points = String::new();
        for step in 0..=steps {
            let nines = end * f64::from(step) / f64::from(steps);
            let percent = 100.0 - 100.0 / 10_f64.powf(nines);
            let latency = report.latency(percent).as_nanos() as f64;
            let _ = write!(points, "{:.1},{:.1} ", self.x(nines), self.y(latency));
        }
        points.trim_end().to_owned()
    }
}

/// A round latency: without the decimals that it does not need.
fn tick_label(nanoseconds: f64) -> String {
    let (value, unit) = match nanoseconds {
        0.0 => return "0".into(),
        value if value < 1e3 => (value, "ns"),
        value if value < 1e6 => (value / 1e3, "µs"),
        value if value < 1e9 => (value / 1e6, "ms"),
        value => (value / 1e9, "s"),
    };
    format!("{} {unit}", (value * 1000.0).round() / 1000.0)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 540.0;
const LEFT: f64 = 90.0;
const RIGHT: f64 = 730.0;
const TOP: f64 = 50.0;
const BOTTOM: f64 = 470.0;
/// Told apart by people who see few colours, too (Okabe and Ito).
const COLOURS: [&str; 7] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"];

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(lowest: f64, highest: f64) -> Frame {
        Frame { lowest, highest, nines: 4.0 }
    }

    #[test]
    fn the_axes_have_round_labels_within_the_frame() {
        let labels = |frame: Frame| frame.ticks().into_iter().map(tick_label).collect::<Vec<_>>();
        assert_eq!(labels(frame(0.0, 110_000.0)), ["0", "20 µs", "40 µs", "60 µs", "80 µs", "100 µs"]);
        assert_eq!(labels(frame(15_000.0, 220_000.0)), ["20 µs", "50 µs", "100 µs", "200 µs"]);
        assert_eq!(labels(frame(900.0, 2e9)).len(), 7, "one for each decade");
    }

    #[test]
    fn the_frame_s_corners_are_where_its_limits_are() {
        for frame in [frame(0.0, 500.0), frame(5.0, 500.0)] {
            assert_eq!((frame.x(0.0), frame.x(4.0)), (LEFT, RIGHT));
            assert!((frame.y(frame.lowest) - BOTTOM).abs() < 1e-9);
            assert!((frame.y(500.0) - TOP).abs() < 1e-9);
        }
    }

    #[test]
    fn a_plot_without_a_reply_is_a_document_all_the_same() {
        let svg = plot("a < b & c", &[]);
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        assert!(svg.contains("a &lt; b &amp; c"));
    }
}
