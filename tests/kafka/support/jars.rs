//! Kafka's jars, fetched once by Maven and kept between runs.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use super::version::Version;

/// The jars of one version in one directory, with our own classes and an archive of classes in one below it.
#[derive(Debug)]
pub(crate) struct Jars {
    class_path: String,
    /// Made by the JVM from the class path; it ignores an archive that does not fit or is not there.
    archive: PathBuf,
}

const SOURCES: [(&str, &str); 5] = [
    ("Dump.java", include_str!("../java/Dump.java")),
    ("KeyStores.java", include_str!("../java/KeyStores.java")),
    ("Tokens.java", include_str!("../java/Tokens.java")),
    ("Preload.java", include_str!("../java/Preload.java")),
    ("Transactions.java", include_str!("../java/Transactions.java")),
];

/// Needs what brokers have since Kafka 3.7.
const NEWER_SOURCES: [(&str, &str); 1] =
    [("TelemetryReceiver.java", include_str!("../java/TelemetryReceiver.java"))];

/// Three brokers on two cores start in a third of the time that the defaults take, because neither collector nor the
/// second compiler compete for the cores; the archive of classes takes another third off.
const FAST_START: [&str; 2] = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"];

/// What the JVM itself has to say must not get between the output of a tool.
const JVM_LOG: [&str; 2] = ["-Xlog:disable", "-Xlog:all=error:stderr"];

/// The beginnings of the names of jars whose classes are archived: those that every broker and tool needs.
const ARCHIVED: [&str; 7] =
    ["jackson-", "jopt", "kafka", "log4j", "metrics-core", "scala-library", "zookeeper"];

impl Jars {
    /// Gets the jars of a version, from the cache if they are there.
    ///
    /// The answer is the same for the whole run, so that ten tests do not try ten times what cannot be.
    pub(crate) fn of(version: Version) -> Result<&'static Self, &'static str> {
        static V1_0_2: OnceLock<Result<Jars, String>> = OnceLock::new();
        static V2_8_2: OnceLock<Result<Jars, String>> = OnceLock::new();
        static V3_9_2: OnceLock<Result<Jars, String>> = OnceLock::new();
        static V4_3_1: OnceLock<Result<Jars, String>> = OnceLock::new();

        let cell = match version {
            Version::V1_0_2 => &V1_0_2,
            Version::V2_8_2 => &V2_8_2,
            Version::V3_9_2 => &V3_9_2,
            Version::V4_3_1 => &V4_3_1,
        };
        cell.get_or_init(|| Self::prepare(version)).as_ref().map_err(String::as_str)
    }

    /// A `java` command with these jars on the class path.
    pub(crate) fn java(&self, heap: &[&str]) -> Command {
        let mut command = Command::new("java");
        command.args(heap).args(FAST_START).args(JVM_LOG).arg("-Dfile.encoding=UTF-8");
        command.arg(format!("-XX:SharedArchiveFile={}", self.archive.display()));
        command.args(["-cp", &self.class_path]);
        command
    }

    fn prepare(version: Version) -> Result<Self, String> {
        run(Command::new("java").arg("-version"))?;
        let cache = cache_root()?;
        std::fs::create_dir_all(&cache).map_err(|error| format!("{}: {error}", cache.display()))?;
        let directory = cache.join(version.number());
        if !directory.join(format!("kafka-clients-{}.jar", version.number())).is_file() {
            fetch(version, &directory)?;
        }
        let sources: String = sources(version).map(|(_, source)| source).collect();
        let harness = directory.join(format!("harness-{:08x}", crc32c::crc32c(sources.as_bytes())));
        if !harness.is_dir() {
            compile(version, &directory, &harness)?;
        }
        let class_path = format!("{}/*:{}", directory.display(), harness.join("harness.jar").display());
        let archive = harness.join("classes.jsa");
        if !archive.is_file() {
            archive_classes(&class_path, &archive)?;
        }
        Ok(Self { class_path, archive })
    }
}

fn cache_root() -> Result<PathBuf, String> {
    if let Some(root) = std::env::var_os("KAFKA_JARS") {
        return Ok(root.into());
    }
    let home = std::env::home_dir().ok_or("neither KAFKA_JARS nor a home directory")?;
    Ok(home.join(".cache/kafka-producer-tests"))
}

fn fetch(version: Version, directory: &Path) -> Result<(), String> {
    build_aside(directory, |aside| {
        let pom = aside.join("pom.xml");
        std::fs::write(&pom, pom_xml(version)).map_err(|error| error.to_string())?;
        let mut mvn = Command::new("mvn");
        mvn.args(["-q", "-B", "-f"]).arg(pom).arg("dependency:copy-dependencies");
        mvn.arg(format!("-DoutputDirectory={}", aside.display()));
        run(&mut mvn)
    })
}

fn sources(version: Version) -> impl Iterator<Item = (&'static str, &'static str)> {
    let newer: &[_] = if version.has_telemetry() { &NEWER_SOURCES } else { &[] };
    SOURCES.iter().chain(newer).copied()
}

fn compile(version: Version, jars: &Path, harness: &Path) -> Result<(), String> {
    build_aside(harness, |aside| {
        let mut javac = Command::new("javac");
        javac.arg("-cp").arg(format!("{}/*", jars.display())).arg("-d").arg(aside.join("classes"));
        for (name, source) in sources(version) {
            std::fs::write(aside.join(name), source).map_err(|error| error.to_string())?;
            javac.arg(aside.join(name));
        }
        run(&mut javac)?;
        // A jar, because the archive of classes does not allow for directories.
        let mut jar = Command::new("jar");
        jar.arg("cf").arg(aside.join("harness.jar")).arg("-C").arg(aside.join("classes")).arg(".");
        run(&mut jar)
    })
}

fn archive_classes(class_path: &str, archive: &Path) -> Result<(), String> {
    let aside = archive.with_extension(format!("tmp-{}", std::process::id()));
    let mut java = Command::new("java");
    java.args(FAST_START).args(JVM_LOG).arg(format!("-XX:ArchiveClassesAtExit={}", aside.display()));
    java.args(["-cp", class_path, "Preload"]).args(ARCHIVED);
    run(&mut java)?;
    std::fs::rename(&aside, archive).map_err(|error| format!("{}: {error}", archive.display()))
}

/// Fills a directory beside `target` and moves it there in one step, so that no other run ever sees half of it.
fn build_aside(target: &Path, fill: impl FnOnce(&Path) -> Result<(), String>) -> Result<(), String> {
    let aside = target.with_extension(format!("tmp-{}", std::process::id()));
    std::fs::create_dir_all(&aside).map_err(|error| format!("{}: {error}", aside.display()))?;
    let built = fill(&aside).and_then(|()| match std::fs::rename(&aside, target) {
        Ok(()) => Ok(()),
        Err(_) if target.is_dir() => Ok(()), // another run was faster
        Err(error) => Err(format!("{}: {error}", target.display())),
    });
    if aside.exists() {
        std::fs::remove_dir_all(&aside).map_err(|error| format!("{}: {error}", aside.display()))?;
    }
    built
}

fn run(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{name}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(format!("{name}: {}: {}", output.status, String::from_utf8_lossy(&said).trim()))
}

fn pom_xml(version: Version) -> String {
    let kafka = format!("kafka_{}", version.scala());
    let mut dependencies = vec![
        ("org.apache.kafka", kafka.as_str(), version.number()),
        ("org.apache.kafka", "kafka-tools", version.number()),
    ];
    if version == Version::V4_3_1 {
        // Kafka 4 depends on Log4j but not on the bridge from SLF4J: without it the brokers say nothing.
        dependencies.push(("org.apache.logging.log4j", "log4j-slf4j-impl", "2.25.4"));
    }
    let dependencies: String = dependencies
        .iter()
        .map(|(group, artifact, version)| {
            format!(
                "    <dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId>\
                 <version>{version}</version></dependency>\n"
            )
        })
        .collect();
    format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\">\n  <modelVersion>4.0.0</modelVersion>\n  \
         <groupId>kafka-producer</groupId><artifactId>tests</artifactId><version>1</version>\n  \
         <dependencies>\n{dependencies}  </dependencies>\n</project>\n"
    )
}
