//! Arguments with placeholders in them.

/// What can stand between braces.
const PLACEHOLDERS: [&str; 4] = ["model", "prompt", "session", "system"];

/// An argument as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Placeholder(&'static str),
}

impl Template {
    /// Reads an argument. Braces around anything that is no placeholder are text, as in JSON.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        if text.contains('\0') {
            return Err("an argument cannot hold a zero byte");
        }
        let mut pieces = Vec::new();
        let mut rest = text;
        let mut said = String::new();
        while let Some(open) = rest.find('{') {
            let (before, from) = rest.split_at(open);
            said.push_str(before);
            let found = PLACEHOLDERS
                .into_iter()
                .find(|name| from[1..].strip_prefix(name).is_some_and(|after| after.starts_with('}')));
            match found {
                Some(name) => {
                    if !said.is_empty() {
                        pieces.push(Piece::Text(std::mem::take(&mut said)));
                    }
                    pieces.push(Piece::Placeholder(name));
                    rest = &from[name.len() + 2..];
                }
                None => {
                    said.push('{');
                    rest = &from[1..];
                }
            }
        }
        said.push_str(rest);
        if !said.is_empty() {
            pieces.push(Piece::Text(said));
        }
        Ok(Template(pieces))
    }

    /// Whether this placeholder is in it.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|piece| matches!(piece, Piece::Placeholder(known) if *known == name))
    }
}

/// The arguments with what the placeholders stand for. What somebody wrote never becomes an option of the program: a
/// prompt that begins with a dash is put behind a space, and other words that begin with one are refused, unless `--` or
/// text of the configuration stands before them.
pub(crate) fn fill(templates: &[Template], known: &[(&str, &str)]) -> Result<Vec<String>, String> {
    let mut args: Vec<String> = Vec::with_capacity(templates.len());
    for template in templates {
        let mut arg = String::new();
        for piece in &template.0 {
            match piece {
                Piece::Text(text) => arg.push_str(text),
                Piece::Placeholder(name) => {
                    let value = known.iter().find(|(known, _)| known == name).map_or("", |(_, value)| *value);
                    // Zero bytes are left out first: a dash may stand behind them.
                    let value = value.replace('\0', "");
                    let could_be_option =
                        arg.is_empty() && value.starts_with('-') && !args.iter().any(|arg| arg == "--");
                    match *name {
                        "prompt" | "system" if could_be_option => arg.push(' '),
                        _ if could_be_option => return Err(format!("the {name} begins with a dash")),
                        _ => {}
                    }
                    arg.push_str(&value);
                }
            }
        }
        args.push(arg);
    }
    Ok(args)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(args: &[&str], prompt: &str, model: &str) -> Result<Vec<String>, String> {
        let templates: Vec<Template> = args.iter().map(|arg| Template::parse(arg).unwrap()).collect();
        fill(&templates, &[("prompt", prompt), ("model", model)])
    }

    #[test]
    fn placeholders_stand_for_what_they_say_and_nothing_in_it_is_read_again() {
        let args = ["--model={model}", "{\"a\":{prompt}}", "{other} {", "{prompt}{model}"];
        let filled = filled(&args, "{model}\0", "m").unwrap();
        assert_eq!(filled, ["--model=m", "{\"a\":{model}}", "{other} {", "{model}m"]);
        assert!(Template::parse("x{session}").unwrap().has("session"));
        assert!(!Template::parse("{ session}").unwrap().has("session"));
    }

    #[test]
    fn what_somebody_wrote_is_no_option() {
        assert_eq!(filled(&["-p", "{prompt}"], "--allow-everything", "").unwrap(), ["-p", " --allow-everything"]);
        assert_eq!(filled(&["-p", "{prompt}"], "\0--allow-everything", "").unwrap(), ["-p", " --allow-everything"]);
        assert!(filled(&["-m", "{model}"], "", "\0-x").unwrap_err().contains("model"));
        assert_eq!(filled(&["--", "{prompt}"], "-x", "").unwrap(), ["--", "-x"]);
        assert!(filled(&["-m", "{model}"], "", "--x").unwrap_err().contains("model"));
        assert_eq!(filled(&["-m={model}"], "", "--x").unwrap(), ["-m=--x"]);
    }
}
