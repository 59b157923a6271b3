//! Manifests as people write them, and what is said of those that are wrong.

use super::runtime::{RuntimeConfig, StoreConfig};
use super::variables::Values;
use super::*;

const HEAD: &str = "spin_manifest_version = 2\n[application]\nname = \"x\"\n";

fn parse(text: &str) -> Result<Manifest, ManifestError> {
    let file = Path::new("app/spin.toml");
    Manifest::parse(&Document::new(file, text.to_owned()), file)
}

fn refused(body: &str) -> String {
    parse(&format!("{HEAD}{body}")).unwrap_err().to_string()
}

#[test]
fn a_whole_manifest() {
    let manifest = parse(
        r#"
spin_manifest_version = 2
[application]
name = "sschat"
version = "0.1.0"
authors = ["a"]
[application.trigger.http]
base = "/"
[application.tool.sschat]
message_limit = "64KiB"
ping_interval = 25
[application.tool.other]
anything = true
[variables]
registration = { default = "open" }
admin = { required = true, secret = true }
[[trigger.http]]
route = "/api/room/..."
component = "room"
[[trigger.http]]
route = { private = true }
component = "room"
[component.room]
source = "target/room.wasm"
key_value_stores = ["default"]
allowed_outbound_hosts = ["https://{{ registration }}.test"]
variables = { mode = "{{ registration }}!" }
build = { command = "cargo build", workdir = "room", watch = ["src"] }
[component.room.tool.sschat]
sweep = "/api/room/-/sweep"
[component.authority]
source = "target/authority.wasm"
[component.authority.tool.sschat]
role = "authority"
"#,
    )
    .unwrap();
    assert_eq!(manifest.settings.message_limit, Some(65_536));
    assert_eq!(manifest.triggers.len(), 2);
    assert_eq!(manifest.triggers[1].route, None);
    let room = &manifest.components["room"];
    assert_eq!(room.source, Path::new("app/target/room.wasm"));
    let build = room.build.as_ref().unwrap();
    assert_eq!(build.workdir, Path::new("app/room"));
    assert_eq!(room.sweep.as_deref(), Some("/api/room/-/sweep"));
    assert_eq!(manifest.authority().unwrap().0, "authority");

    let given = [("admin".to_owned(), "s3cret".to_owned())];
    let values = Values::resolve(&manifest, &given, |_| None).unwrap();
    assert_eq!(values.of_component("room", room).unwrap()["mode"], "open!");
    assert_eq!(
        values.outbound_hosts("room", room).unwrap(),
        ["https://open.test"]
    );
    assert!(values.is_explicit("admin") && !values.is_explicit("registration"));
    assert!(!format!("{values:?}").contains("s3cret"));
    let missing = Values::resolve(&manifest, &[], |_| None).unwrap_err();
    assert!(missing.to_string().contains("SPIN_VARIABLE_ADMIN"));
    let environment = |name: &str| (name == "SPIN_VARIABLE_ADMIN").then(|| "e".to_owned());
    let values = Values::resolve(&manifest, &[], environment).unwrap();
    assert_eq!(values.get("admin"), Some("e"));
    let typo = [("regstration".to_owned(), "closed".to_owned())];
    let typo = Values::resolve(&manifest, &typo, |_| None).unwrap_err();
    assert!(typo.to_string().contains("did you mean \"registration\""));
}

#[test]
fn errors_name_file_line_and_key() {
    let error = parse("spin_manifest_version = 1\n").unwrap_err();
    assert_eq!(
        (error.line, error.key.as_str()),
        (1, "spin_manifest_version")
    );
    let error = refused("[component.room]\nsorce = \"x\"\n");
    assert_eq!(
        error,
        "app/spin.toml:5: component.room.sorce: unknown key \"sorce\"; did you mean \"source\"?"
    );
    let error = refused("[component.room\n");
    assert!(error.starts_with("app/spin.toml:4: "), "{error}");
    let error = parse("").unwrap_err().to_string();
    assert!(
        error.contains("\"spin_manifest_version\" is missing"),
        "{error}"
    );
}

#[test]
fn what_is_not_offered_is_refused_with_a_reason() {
    let component = |line: &str| refused(&format!("[component.a]\nsource = \"a.wasm\"\n{line}\n"));
    assert!(component("files = [\"x\"]").contains("no files here"));
    assert!(component("sqlite_databases = [\"default\"]").contains("key-value stores only"));
    assert!(component("ai_models = [\"m\"]").contains("no models"));
    let url = "[component.a]\nsource = { url = \"https://x\", digest = \"sha256:0\" }\n";
    assert!(refused(url).contains("not downloaded"));
    let package = "[component.a]\nsource = { package = \"a:b\", version = \"1\" }\n";
    assert!(refused(package).contains("registry"));
    assert!(refused("[[trigger.redis]]\nchannel = \"x\"\n").contains("http triggers only"));
}

#[test]
fn own_tables_refuse_unknown_keys() {
    let error = refused("[application.tool.sschat]\nmesage_limit = 1\n");
    assert!(error.contains("did you mean \"message_limit\""), "{error}");
    let own = "[component.a]\nsource = \"a\"\n[component.a.tool.sschat]\n";
    let error = refused(&format!("{own}role = \"authorithy\"\n"));
    assert!(error.contains("did you mean \"authority\""), "{error}");
    let error = refused(&format!("{own}reuse = \"abc\"\n"));
    assert!(error.contains("SHA-256"), "{error}");
    let error = refused(&format!("{own}sweep = \"no slash\"\n"));
    assert!(error.contains("begins with /"), "{error}");
    let two = "[component.a]\nsource = \"a\"\ntool.sschat.role = \"authority\"\n\
               [component.b]\nsource = \"b\"\ntool.sschat.role = \"authority\"\n";
    assert!(refused(two).contains("only one component"));
}

#[test]
fn triggers_name_components_that_exist() {
    let body = "[[trigger.http]]\nroute = \"/\"\ncomponent = \"rooom\"\n\
                [component.room]\nsource = \"a\"\n";
    let error = refused(body);
    assert!(error.contains("trigger.http[0].component"), "{error}");
    assert!(error.contains("did you mean \"room\""), "{error}");
    let body = "[[trigger.http]]\nroute = { private = false }\ncomponent = \"room\"\n\
                [component.room]\nsource = \"a\"\n";
    assert!(refused(body).contains("private = true"));
}

#[test]
fn the_runtime_file_names_stores() {
    let folder = tempfile::tempdir().unwrap();
    let state = Path::new("/state");
    let file = folder.path().join("runtime.toml");
    let read = |text: &str| {
        std::fs::write(&file, text).unwrap();
        RuntimeConfig::read(Some(&file), state)
    };
    let default = RuntimeConfig::read(None, state).unwrap();
    let StoreConfig::Sqlite { path } = &default.stores["default"] else {
        panic!("not SQLite");
    };
    assert_eq!(path, Path::new("/state/sqlite_key_value.db"));
    let config = read(
        "[key_value_store.default]\ntype = \"redis\"\nurl = \"redis://:pw@h\"\n[llm]\na = 1\n",
    )
    .unwrap();
    assert!(matches!(&config.stores["default"], StoreConfig::Redis { url } if url.ends_with("h")));
    assert_eq!(config.ignored, ["llm"]);
    assert!(!format!("{config:?}").contains("pw"));
    let error = read("[key_value_store.default]\ntype = \"aws_dynamo\"\n").unwrap_err();
    assert!(error.to_string().contains("not atomic"));
    let error = read("[key_value_store.default]\ntype = \"reddis\"\n").unwrap_err();
    assert!(error.to_string().contains("did you mean \"redis\""));
}

#[test]
fn names_of_variables_are_lower_snake_case() {
    for good in ["registration", "admin_token", "a1_b2"] {
        assert!(crate::wasm::is_valid_name(good), "{good}");
    }
    for bad in ["", "_", "a_", "_a", "a__b", "A", "a-b", "1a", "a b"] {
        assert!(!crate::wasm::is_valid_name(bad), "{bad}");
    }
}
