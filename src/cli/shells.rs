//! Completions and the manual page, generated from the command line's own definition.

use std::io;
use std::io::Write;

use clap::Command;
use clap_mangen::Man;

use crate::cli::Exit;
use crate::cli::command;
use crate::cli::output;

/// Prints the completion script.
pub(super) fn completions(shell: clap_complete::Shell) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command(), "jailferry", &mut script);
    output::say(&String::from_utf8_lossy(&script));
    Exit::Done
}

/// The section of the manual for those who administer systems.
const SECTION: &str = "8";

/// Prints the manual page: the program, its verbs with their options, examples and exit codes.
pub(super) fn man() -> Exit {
    match page() {
        Ok(page) => {
            output::say(&String::from_utf8_lossy(&page));
            Exit::Done
        }
        Err(_) => Exit::Internal,
    }
}

fn page() -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    let mut program = command();
    program.build();
    let whole = Man::new(program.clone()).section(SECTION);
    whole.render_title(&mut page)?;
    whole.render_name_section(&mut page)?;
    whole.render_synopsis_section(&mut page)?;
    whole.render_description_section(&mut page)?;
    whole.render_options_section(&mut page)?;
    for verb in program.get_subcommands().filter(|verb| !verb.is_hide_set() && verb.get_name() != "help") {
        writeln!(page, ".SH \"{}\"", verb.get_name().to_uppercase())?;
        // What every verb has stands above.
        let own = verb.clone().mut_args(|arg| if arg.is_global_set() { arg.hide(true) } else { arg });
        let one = Man::new(own);
        let mut part = Vec::new();
        one.render_description_section(&mut part)?;
        one.render_synopsis_section(&mut part)?;
        one.render_options_section(&mut part)?;
        // Its headings below the verb's.
        let part = String::from_utf8_lossy(&part).replace(".SH ", ".SS ");
        page.write_all(part.as_bytes())?;
        as_it_stands(&mut page, None, verb)?;
    }
    as_it_stands(&mut page, Some("EXAMPLES AND EXIT CODES"), &program)?;
    Ok(page)
}

/// A command's further help, whose lines are not to be filled.
fn as_it_stands(page: &mut Vec<u8>, heading: Option<&str>, command: &Command) -> io::Result<()> {
    let Some(text) = command.get_after_long_help() else { return Ok(()) };
    if let Some(heading) = heading {
        writeln!(page, ".SH \"{heading}\"")?;
    }
    writeln!(page, ".PP\n.nf")?;
    for line in text.to_string().lines() {
        let line = line.replace('\\', "\\e").replace('-', "\\-");
        // A line that begins like a request is none.
        let begins = if line.starts_with(['.', '\'']) { "\\&" } else { "" };
        writeln!(page, "{begins}{line}")?;
    }
    writeln!(page, ".fi")
}
