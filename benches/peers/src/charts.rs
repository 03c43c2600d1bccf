//! Tables as pictures.

use std::error::Error;
use std::path::Path;

use plotters::prelude::*;

use crate::table::{Chart, Table, nanos};

/// Draws a table into an SVG file.
pub fn draw(table: &Table, path: &Path) -> Result<(), Box<dyn Error>> {
    match table.chart {
        Chart::Nanoseconds => bars(table, path),
        Chart::PerSecond | Chart::Growth => curves(table, path),
    }
}

/// A group of bars for each line, one bar a column, on a logarithmic scale.
fn bars(table: &Table, path: &Path) -> Result<(), Box<dyn Error>> {
    let columns = table.columns.len();
    let bars_len = table.lines.len() * (columns + 1);
    let height = 90 + 16 * bars_len as u32;
    let root = SVGBackend::new(path, (900, height)).into_drawing_area();
    root.fill(&WHITE)?;
    let values = || table.lines.iter().flat_map(|line| line.values.iter().flatten().copied());
    let floor = values().filter(|value| *value > 0.0).fold(f64::MAX, f64::min) / 2.0;
    let top = values().fold(0.0, f64::max) * 4.0;
    let mut chart = ChartBuilder::on(&root)
        .caption(table.title, ("sans-serif", 20))
        .margin(10)
        .x_label_area_size(30)
        .y_label_area_size(210)
        .build_cartesian_2d((floor..top).log_scale(), 0..bars_len as i32)?;
    chart.configure_mesh().disable_y_mesh().y_labels(0).x_label_formatter(&|value| nanos(*value)).draw()?;
    for column in 0..columns {
        let bar = |(index, line): (usize, &crate::table::Line)| {
            let value = line.values.get(column).copied().flatten().filter(|value| *value > 0.0)?;
            let y = (bars_len - index * (columns + 1) - column - 1) as i32;
            Some((value, y))
        };
        let placed: Vec<_> = table.lines.iter().enumerate().filter_map(bar).collect();
        let colour = Palette99::pick(column);
        chart
            .draw_series(
                placed
                    .iter()
                    .map(|(value, y)| Rectangle::new([(floor, *y - 1), (*value, *y)], colour.filled())),
            )?
            .label(&table.columns[column])
            .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 10, y + 5)], colour.filled()));
        chart.draw_series(
            placed
                .iter()
                .map(|(value, y)| Text::new(format!(" {}", nanos(*value)), (*value, *y), ("sans-serif", 12))),
        )?;
    }
    let (_, rows) = chart.plotting_area().get_pixel_range();
    for (index, line) in table.lines.iter().enumerate() {
        let share = (index * (columns + 1)) as f64 / bars_len as f64;
        let y = rows.start + (share * f64::from(rows.end - rows.start)) as i32;
        root.draw(&Text::new(line.name.clone(), (12, y + 2), ("sans-serif", 13)))?;
    }
    if columns > 1 {
        chart.configure_series_labels().border_style(BLACK).background_style(WHITE).draw()?;
    }
    root.present()?;
    Ok(())
}

/// A curve for each line over the columns, on logarithmic scales.
fn curves(table: &Table, path: &Path) -> Result<(), Box<dyn Error>> {
    let root = SVGBackend::new(path, (900, 480)).into_drawing_area();
    root.fill(&WHITE)?;
    let number = |column: &String| column.split(' ').next().and_then(|text| text.parse::<f64>().ok());
    let xs: Vec<f64> = table.columns.iter().filter_map(number).collect();
    let values = || table.lines.iter().flat_map(|line| line.values.iter().flatten().copied());
    let (floor, top) = (values().fold(f64::MAX, f64::min) / 2.0, values().fold(0.0, f64::max) * 2.0);
    let (first, last) = (xs.first().copied().unwrap_or(1.0), xs.last().copied().unwrap_or(2.0));
    let mut chart = ChartBuilder::on(&root)
        .caption(table.title, ("sans-serif", 20))
        .margin(10)
        .x_label_area_size(30)
        .y_label_area_size(80)
        .build_cartesian_2d((first..last * 4.0).log_scale(), (floor..top).log_scale())?;
    let per_second = table.chart == Chart::PerSecond;
    let label = move |value: &f64| if per_second { format!("{value:.0}/s") } else { nanos(*value) };
    chart.configure_mesh().y_label_formatter(&label).x_label_formatter(&|x| format!("{x:.0}")).draw()?;
    for (index, line) in table.lines.iter().enumerate() {
        let points: Vec<_> =
            xs.iter().zip(&line.values).filter_map(|(x, value)| Some((*x, (*value)?))).collect();
        let colour = Palette99::pick(index);
        chart
            .draw_series(LineSeries::new(points, colour.stroke_width(2)).point_size(3))?
            .label(&line.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::MiddleRight)
        .border_style(BLACK)
        .background_style(WHITE)
        .draw()?;
    root.present()?;
    Ok(())
}
