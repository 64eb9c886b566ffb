//! A look at the first bytes of a file, so that what is no library for this machine is called by its name before the
//! system's loader puts it in words of its own, or maps a truncated one and dies on the missing pages.

/// What a file is instead of a library for this machine.
pub(super) fn look(bytes: &[u8]) -> Result<(), String> {
    // Systems with another form of libraries have a loader to say so.
    if cfg!(target_vendor = "apple") { Ok(()) } else { Elf::read(bytes)?.check(bytes.len() as u64) }
}

const TRUNCATED: &str = "it is truncated: its headers speak of more than is there; copy or download it again";

const IDENT: usize = 16;
/// Word size and byte order of this program.
const CLASS: u8 = if cfg!(target_pointer_width = "64") { 2 } else { 1 };
const ORDER: u8 = if cfg!(target_endian = "little") { 1 } else { 2 };
const DYNAMIC: u16 = 3;
const LOAD: u64 = 1;

/// The machine this program was built for; 0 where the number is not known here, and then the system's loader decides.
const MACHINE: u16 = if cfg!(target_arch = "x86_64") {
    62
} else if cfg!(target_arch = "aarch64") {
    183
} else if cfg!(target_arch = "x86") {
    3
} else if cfg!(target_arch = "arm") {
    40
} else if cfg!(target_arch = "riscv64") {
    243
} else if cfg!(target_arch = "powerpc64") {
    21
} else if cfg!(target_arch = "s390x") {
    22
} else if cfg!(target_arch = "loongarch64") {
    258
} else {
    0
};

/// The header of an ELF file of this machine's word size and byte order.
struct Elf {
    kind: u16,
    machine: u16,
    segments: Table,
    sections: Table,
    /// Where in the file each loaded segment ends.
    ends: Vec<u64>,
}

/// A table in the file.
struct Table {
    offset: u64,
    entry: u64,
    entries: u64,
}

impl Table {
    fn end(&self) -> Option<u64> {
        self.entry.checked_mul(self.entries)?.checked_add(self.offset)
    }
}

impl Elf {
    fn read(bytes: &[u8]) -> Result<Elf, String> {
        if !bytes.starts_with(b"\x7fELF") {
            return Err(not_elf(bytes));
        }
        let ident = bytes.get(..IDENT).ok_or(TRUNCATED)?;
        if (ident[4], ident[5]) != (CLASS, ORDER) {
            let bits = if ident[4] == 1 { 32 } else { 64 };
            let order = if ident[5] == 2 { "big" } else { "little" };
            return Err(format!("it was built for another machine ({bits} bit, {order}-endian); {}", needed()));
        }
        let wide = CLASS == 2;
        let mut rest = Fields { bytes, at: IDENT };
        let (kind, machine) = (rest.number(2)? as u16, rest.number(2)? as u16);
        rest.skip(4);
        let word = if wide { 8 } else { 4 };
        rest.skip(word);
        let (segments, sections) = (rest.number(word)?, rest.number(word)?);
        rest.skip(4 + 2);
        let segments = Table { offset: segments, entry: rest.number(2)?, entries: rest.number(2)? };
        let sections = Table { offset: sections, entry: rest.number(2)?, entries: rest.number(2)? };
        let mut elf = Elf { kind, machine, segments, sections, ends: Vec::new() };
        for index in 0..elf.segments.entries {
            let at = elf.segments.offset.saturating_add(elf.segments.entry.saturating_mul(index));
            let mut header = Fields { bytes, at: usize::try_from(at).unwrap_or(usize::MAX) };
            let kind = header.number(4)?;
            header.skip(if wide { 4 } else { 0 });
            let offset = header.number(word)?;
            header.skip(2 * word);
            let size = header.number(word)?;
            if kind == LOAD {
                elf.ends.push(offset.saturating_add(size));
            }
        }
        Ok(elf)
    }

    fn check(&self, length: u64) -> Result<(), String> {
        if MACHINE != 0 && self.machine != MACHINE {
            return Err(format!("it was built for another machine (ELF machine {}); {}", self.machine, needed()));
        }
        match self.kind {
            DYNAMIC => {}
            1 => return Err("it is an object file; link it with -shared".to_string()),
            2 => return Err("it is a program, not a library; link it with -shared".to_string()),
            4 => return Err("it is a core dump, not a library".to_string()),
            other => return Err(format!("it is no shared library (ELF type {other}); link it with -shared")),
        }
        let tables = [self.segments.end(), self.sections.end()];
        let whole = tables.iter().all(|end| end.is_some_and(|end| end <= length));
        if whole && self.ends.iter().all(|end| *end <= length) { Ok(()) } else { Err(TRUNCATED.to_string()) }
    }
}

/// Numbers one after the other, in this machine's byte order.
struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Fields<'_> {
    fn number(&mut self, size: usize) -> Result<u64, String> {
        let end = self.at.checked_add(size).ok_or(TRUNCATED)?;
        let field = self.bytes.get(self.at..end).ok_or(TRUNCATED)?;
        self.at = end;
        let mut wide = [0; 8];
        if cfg!(target_endian = "little") {
            wide[..size].copy_from_slice(field);
        } else {
            wide[8 - size..].copy_from_slice(field);
        }
        Ok(u64::from_ne_bytes(wide))
    }

    fn skip(&mut self, size: usize) {
        self.at = self.at.saturating_add(size);
    }
}

/// A name for what is no ELF file.
fn not_elf(bytes: &[u8]) -> String {
    let begins = |magic: &[u8]| bytes.starts_with(magic);
    let what = if bytes.is_empty() {
        "it is empty; was it copied while it was being written?"
    } else if begins(b"#!") {
        "it is a script; a plugin is a shared library"
    } else if begins(b"MZ") {
        "it is a library for Windows"
    } else if [0xfeed_face_u32, 0xfeed_facf, 0xcafe_babe]
        .iter()
        .any(|magic| begins(&magic.to_le_bytes()) || begins(&magic.to_be_bytes()))
    {
        "it is a library for macOS"
    } else if begins(b"!<arch>") {
        "it is a static library; link it with -shared, in Rust as crate-type = [\"cdylib\"]"
    } else if begins(b"\0asm") {
        "it is WebAssembly; a plugin is a native shared library"
    } else {
        "it is no shared library"
    };
    format!("{what} (an ELF file for {} is needed)", std::env::consts::ARCH)
}

fn needed() -> String {
    format!("a build for {} is needed", std::env::consts::ARCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// This program is an ELF file of this machine.
    fn own() -> Vec<u8> {
        std::fs::read(std::env::current_exe().unwrap()).unwrap()
    }

    #[test]
    #[cfg(not(target_vendor = "apple"))]
    fn what_is_no_library_is_called_by_its_name() {
        for (bytes, name) in [
            (&b""[..], "empty"),
            (b"#!/bin/sh\n", "a script"),
            (b"MZ\x90", "Windows"),
            (b"\xcf\xfa\xed\xfe", "macOS"),
            (b"!<arch>\n", "static library"),
            (b"hello", "no shared library"),
            (b"\x7fELF", "truncated"),
        ] {
            let said = look(bytes).unwrap_err();
            assert!(said.contains(name), "{said}");
        }
        assert_eq!(look(&own()), Ok(()), "a position-independent program has the same form");
    }

    #[test]
    #[cfg(not(target_vendor = "apple"))]
    fn a_part_of_a_library_is_truncated_wherever_it_ends() {
        let whole = own();
        let thirds = (1..60).map(|part| whole.len() * part / 60);
        for length in (4..200).chain(thirds).chain([whole.len() - 1]) {
            assert_eq!(look(&whole[..length]), Err(TRUNCATED.to_string()), "{length} of {} bytes", whole.len());
        }
    }

    #[test]
    #[cfg(not(target_vendor = "apple"))]
    fn other_machines_and_other_kinds_are_told_apart() {
        let change = |at: usize, byte: u8| {
            let mut bytes = own();
            bytes[at] = byte;
            look(&bytes).unwrap_err()
        };
        assert!(change(4, 3 - CLASS).contains("another machine"));
        assert!(change(5, 3 - ORDER).contains("big-endian") == (ORDER == 1));
        let low = if ORDER == 1 { 0 } else { 1 };
        assert!(change(18 + low, 8).contains("another machine (ELF machine 8)"));
        assert!(change(16 + low, 1).contains("-shared"));
        assert!(change(16 + low, 2).contains("a program"));
    }
}
