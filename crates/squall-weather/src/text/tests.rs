use super::*;
use alloc::string::ToString;

#[test]
fn every_preset_is_read_and_its_text_survives_the_way_there_and_back() {
    for preset in PRESETS {
        let weather =
            Weather::preset(preset.name).unwrap_or_else(|| panic!("{}: {}", preset.name, preset.text));
        let shown = weather.to_string();
        assert_eq!(shown.parse::<Weather>().unwrap_or_else(|error| panic!("{shown}: {error}")), weather);
    }
}
