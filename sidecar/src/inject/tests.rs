use super::*;
#[test]
fn look() {
    let text = std::fs::read_to_string("/tmp/m/a.yaml").unwrap();
    let input = Input { name: "a.yaml".into(), text: text.clone() };
    match inject(&[input], &Options::default()) {
        Ok(outcome) => {
            println!("{}", outcome.texts[0]);
            outcome.lines.iter().for_each(|line| println!("{line}"));
            let again = inject(&[Input { name: "a.yaml".into(), text: outcome.texts[0].clone() }], &Options::default())
                .unwrap();
            assert_eq!(again.texts, outcome.texts);
            again.lines.iter().for_each(|line| println!("{line}"));
            let back = uninject(&[Input { name: "a.yaml".into(), text: outcome.texts[0].clone() }]).unwrap();
            assert_eq!(back.texts[0], text);
            back.lines.iter().for_each(|line| println!("{line}"));
        }
        Err(refusal) => panic!("{refusal}"),
    }
}
