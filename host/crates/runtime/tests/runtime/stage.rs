use std::fs;

use coracle_runtime::{CONTRACT, Caps, EPOCH, EngineOptions, StageError};

use super::*;

fn refusal(bytes: &[u8]) -> String {
    let bytes = bytes.to_vec();
    on_guest_stack(move || engine().stage(&bytes).unwrap_err().to_string())
}

#[test]
fn plugin_says_what_it_is() {
    on_guest_stack(|| {
        let plugin = plugin();
        assert_eq!((plugin.name(), plugin.version()), ("fixture", "1.0.0"));
        assert_eq!((plugin.epoch(), plugin.contract()), (EPOCH, CONTRACT));
        assert_ne!(plugin.digest(), &[0; 32]);
    });
}

#[test]
fn what_is_no_component_is_named() {
    assert!(refusal(b"hello").contains("not wasm"));
    assert!(refusal(b"").contains("not wasm"));
    assert!(refusal(&component("(module)")).contains("is a core module"));
    assert!(refusal(&component(MACHINE)[..3000]).contains("not a valid component"));
}

#[test]
fn foreign_imports_are_all_named() {
    let text = MACHINE.replacen(
        "(component",
        r#"(component
        (import "wasi:sockets/tcp@0.2.0" (instance))
        (import "acme:db/store@1.0.0" (instance))
        (import "wasi:io/poll@0.2.3" (instance))"#,
        1,
    );
    let refusal = refusal(&component(&text));
    assert!(
        refusal.contains("wasi:sockets/tcp@0.2.0, acme:db/store@1.0.0"),
        "{refusal}"
    );
    assert!(!refusal.contains("wasi:io"), "{refusal}");
}

#[test]
fn missing_machine_is_named() {
    let refusal = refusal(&component("(component)"));
    assert!(refusal.contains("coracle:fsm/machine@0.1.0"), "{refusal}");
}

#[test]
fn export_of_another_type_does_not_fit_the_contract() {
    let text = MACHINE.replace(
        r#"(param "frame" (list u8))"#,
        r#"(param "frame" (list s8))"#,
    );
    assert!(refusal(&component(&text)).contains("does not fit the contract"));
}

#[test]
fn extra_exports_are_tolerated() {
    let end = r#"(export "coracle:fsm/machine@0.1.0" (instance $machine))"#;
    let text = MACHINE.replace(end, &format!("(export \"left-over\" (func $init)) {end}"));
    let bytes = component(&text);
    on_guest_stack(move || assert_eq!(engine().stage(&bytes).unwrap().name(), "fixture"));
}

#[test]
fn describe_that_traps_or_gives_no_label_is_named() {
    let trap = MACHINE.replace(
        r#"(func (export "describe") (result i32)"#,
        r#"(func (export "describe") (result i32) unreachable"#,
    );
    let refused = refusal(&component(&trap));
    assert!(
        refused.contains("describe failed: failed (trap)"),
        "{refused}"
    );
    let refused = refusal(&component(&MACHINE.replace("\"fixture", "\"\\fffixtur")));
    assert!(refused.contains("describe gave a name"), "{refused}");
}

#[test]
fn proposals_that_are_off_are_refused() {
    for (instruction, proposal) in [
        ("(drop (v128.const i64x2 0 0))", "SIMD"),
        ("(return_call $ok)", "tail calls"),
        ("(drop (i32.atomic.load (i32.const 0)))", "threads"),
    ] {
        let text = MACHINE.replace(
            "(call $ok))\n\n    (func $bare",
            &format!("{instruction} (call $ok))\n\n    (func $bare"),
        );
        let refused = refusal(&component(&text));
        assert!(refused.contains(proposal), "{refused}");
    }
}

#[test]
fn caps_name_what_was_counted() {
    let bytes = component(MACHINE);
    let caps = |caps: Caps| {
        let bytes = bytes.clone();
        on_guest_stack(move || {
            let engine = Engine::new(EngineOptions {
                caps,
                ..EngineOptions::default()
            })
            .unwrap();
            engine.stage(&bytes).unwrap_err().to_string()
        })
    };
    let all = Caps::default();
    assert!(
        caps(Caps {
            component_bytes: 100,
            ..all
        })
        .contains("bytes, at most 100")
    );
    assert!(caps(Caps { modules: 1, ..all }).contains("2 core modules"));
    assert!(
        caps(Caps {
            functions: 3,
            ..all
        })
        .contains("functions, at most 3")
    );
    assert!(
        caps(Caps {
            body_bytes: 50,
            ..all
        })
        .contains("bytes of a function, at most 50")
    );
    assert!(
        caps(Caps {
            frame_bytes: 130,
            ..all
        })
        .contains("bytes of a frame, at most 130")
    );
}

#[test]
fn compiled_code_is_used_again_but_only_if_it_is_this_nodes() {
    on_guest_stack(|| {
        let folder = tempfile::tempdir().unwrap();
        let engine = |secret| {
            let cache = Some(folder.path().to_owned());
            let options = EngineOptions {
                cache,
                node_secret: [secret; 32],
                ..Default::default()
            };
            Engine::new(options).unwrap()
        };
        let bytes = component(MACHINE);
        let kept = || {
            let entry = fs::read_dir(folder.path())
                .unwrap()
                .next()
                .unwrap()
                .unwrap();
            (entry.path(), fs::read(entry.path()).unwrap())
        };
        engine(1).stage(&bytes).unwrap();
        let (path, first) = kept();
        let written = fs::metadata(&path).unwrap().modified().unwrap();

        engine(1).stage(&bytes).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().modified().unwrap(),
            written,
            "used again"
        );

        engine(2).stage(&bytes).unwrap();
        let (_, second) = kept();
        assert_ne!(
            first[..32],
            second[..32],
            "another node's code is compiled again"
        );

        let mut damaged = second.clone();
        let last = damaged.len() - 1;
        damaged[last] ^= 1;
        fs::write(&path, &damaged).unwrap();
        engine(2).stage(&bytes).unwrap();
        assert_eq!(
            kept().1[..32],
            second[..32],
            "damaged code is compiled again"
        );

        fs::write(&path, b"short").unwrap();
        assert!(matches!(engine(2).stage(&bytes), Ok(plugin) if plugin.name() == "fixture"));
    });
}

#[test]
fn staging_is_an_error_and_not_a_panic_for_any_cut_of_a_component() {
    let bytes = component(MACHINE);
    for len in (0..bytes.len()).step_by(211) {
        let cut = bytes[..len].to_vec();
        let staged = on_guest_stack(move || engine().stage(&cut).map(|_| ()));
        assert!(matches!(
            staged,
            Err(StageError::NotWasm | StageError::Invalid(_) | StageError::NoMachine)
        ));
    }
}
