//! THIN
use crate::ui::event::Event;
#[derive(Debug)]
pub struct Renderer {
    quiet: bool,
}
impl Renderer {
    pub fn quiet() -> Renderer {
        Renderer { quiet: true }
    }
    pub fn choose(_json: bool, _colour: bool) -> Renderer {
        Renderer { quiet: false }
    }
    pub fn event(&self, e: &Event) {
        if !self.quiet {
            crate::cli::output::say(&format!("{e:?}"));
        }
    }
    pub fn finish(&self) {}
}
