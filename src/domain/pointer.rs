//! JSON Pointers ([RFC 6901](https://www.rfc-editor.org/rfc/rfc6901)): where in a document something stands.

/// A member's name as a pointer has it.
#[must_use]
pub fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_pointer_is_made_of_is_escaped() {
        assert_eq!(escape("a/b~c~1"), "a~1b~0c~01");
    }
}
