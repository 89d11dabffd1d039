//! Chromium without a window, through chromedriver.

use fantoccini::{
    Client, ClientBuilder, Locator,
    elements::Element,
    wd::{Capabilities, WebDriverCompatibleCommand},
};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use std::{
    env,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tokio::sync::{Mutex, MutexGuard};

/// Browsers are heavy, and a slow one makes no good witness: they run one after another.
static ONE: Mutex<()> = Mutex::const_new(());

const DEADLINE: Duration = Duration::from_secs(20);
const STEP: Duration = Duration::from_millis(50);

/// Noted in each page before anything of it runs.
const WITNESS: &str = "window.faults = [];
    addEventListener('securitypolicyviolation', (e) => faults.push(`policy: ${e.violatedDirective} ${e.blockedURI}`));
    addEventListener('error', (e) => faults.push(`error: ${e.message}`));
    addEventListener('unhandledrejection', (e) => faults.push(`rejection: ${e.reason}`));";

/// A browser with one page, gone when dropped.
pub(crate) struct Browser {
    client: Client,
    _driver: Driver,
    _turn: MutexGuard<'static, ()>,
}

/// A chromedriver that is ended when dropped; it ends its browsers.
struct Driver {
    child: Child,
    port: u16,
    session: Option<String>,
}

impl Driver {
    fn start() -> Self {
        let driver = program("chromedriver");
        let mut command = Command::new(driver);
        let mut child =
            command.arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        // "ChromeDriver was started successfully on port 34567."
        let port = lines.find_map(|line| {
            line.split_once("successfully on port ")?.1.trim_end_matches('.').parse().ok()
        });
        let port = port.expect("chromedriver says its port");
        // Nobody may let it wait for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, port, session: None }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // A test that panics leaves its browser open, and the driver would leave it behind.
        if let (Some(session), Ok(mut stream)) =
            (&self.session, TcpStream::connect(("127.0.0.1", self.port)))
        {
            let _ = write!(
                stream,
                "DELETE /session/{session} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
            );
            // The connection stays open; the answer's first bytes say that it is done.
            let _ = stream.set_read_timeout(Some(DEADLINE));
            let _ = stream.read(&mut [0; 64]);
        }
        let id = self.child.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &id]).status();
        let told = Instant::now();
        while self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            if told.elapsed() > DEADLINE {
                let _ = self.child.kill();
            }
            std::thread::sleep(STEP);
        }
    }
}

/// The path of a program, or an error that says what to install.
fn program(name: &str) -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file());
    found.unwrap_or_else(|| {
        panic!("there is no {name} on the PATH; install the Debian packages chromium and chromium-driver")
    })
}

/// A command that WebDriver does not know, of Chromium's own.
#[derive(Debug)]
struct Own {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Own {
    fn endpoint(
        &self,
        base: &url::Url,
        session: Option<&str>,
    ) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.body.to_string()))
    }
}

impl Browser {
    /// A fresh one, 1280 × 900, light.
    pub(crate) async fn start() -> Self {
        let turn = ONE.lock().await;
        let (chromium, mut driver) = (program("chromium"), Driver::start());
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
        ];
        let mut wanted = Capabilities::new();
        wanted
            .insert("goog:chromeOptions".into(), json!({ "binary": chromium, "args": arguments }));
        wanted.insert("goog:loggingPrefs".into(), json!({ "browser": "ALL" }));
        let address = format!("http://127.0.0.1:{}", driver.port);
        let client =
            ClientBuilder::new(HttpConnector::new()).capabilities(wanted).connect(&address).await;
        let client = client.expect("a browser");
        driver.session = client.session_id().await.unwrap();
        let browser = Self { client, _driver: driver, _turn: turn };
        browser
            .devtools("Page.addScriptToEvaluateOnNewDocument", json!({ "source": WITNESS }))
            .await;
        browser.dress(false, 1280).await;
        browser
    }

    /// Asserts that nothing went wrong unseen, and ends it.
    pub(crate) async fn end(self) {
        assert_eq!(self.faults().await, Vec::<String>::new());
    }

    async fn own(&self, path: &'static str, body: Value) -> Value {
        self.client.issue_cmd(Own { path, body }).await.unwrap()
    }

    pub(crate) async fn devtools(&self, command: &str, parameters: Value) -> Value {
        self.own("goog/cdp/execute", json!({ "cmd": command, "params": parameters })).await
    }

    /// Light or dark, so many pixels wide.
    pub(crate) async fn dress(&self, dark: bool, width: u32) {
        let scheme = if dark { "dark" } else { "light" };
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.devtools("Emulation.setEmulatedMedia", json!({ "features": features })).await;
        let size =
            json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", size).await;
    }

    pub(crate) async fn open(&self, address: &str, path: &str) {
        self.client.goto(&format!("http://{address}{path}")).await.unwrap();
    }

    /// Goes to another view of the page.
    pub(crate) async fn view(&self, hash: &str) {
        self.client.execute("location.hash = arguments[0]", vec![json!(hash)]).await.unwrap();
    }

    /// The value of an expression in the page.
    pub(crate) async fn value(&self, expression: &str) -> Value {
        self.client.execute(&format!("return {expression}"), Vec::new()).await.unwrap()
    }

    /// Waits until an expression in the page is true.
    pub(crate) async fn until(&self, expression: &str) {
        let began = Instant::now();
        while self.value(&format!("Boolean({expression})")).await != json!(true) {
            if began.elapsed() > DEADLINE {
                let seen = self.value("document.body.innerText").await;
                panic!(
                    "not in {DEADLINE:?}: {expression}\nthe page: {}",
                    seen.as_str().unwrap_or_default()
                );
            }
            tokio::time::sleep(STEP).await;
        }
    }

    /// Waits until the text of some element that matches has this in it.
    pub(crate) async fn sees(&self, css: &str, text: &str) {
        let wanted = json!(text);
        self.until(&format!(
            "[...document.querySelectorAll({})].some((one) => one.checkVisibility() && one.innerText.includes({wanted}))",
            json!(css)
        ))
        .await;
    }

    /// The first that matches and is seen, waited for, in the middle of the window.
    async fn element(&self, css: &str) -> Element {
        let found = format!(
            "[...document.querySelectorAll({})].find((one) => one.checkVisibility())",
            json!(css)
        );
        self.until(&found).await;
        self.value(&format!(
            "({found}).scrollIntoView({{ block: 'center', behavior: 'instant' }})"
        ))
        .await;
        for one in self.client.find_all(Locator::Css(css)).await.unwrap() {
            if one.is_displayed().await.unwrap() {
                return one;
            }
        }
        panic!("{css} went away")
    }

    pub(crate) async fn click(&self, css: &str) {
        self.element(css)
            .await
            .click()
            .await
            .unwrap_or_else(|error| panic!("click {css}: {error}"));
    }

    /// Writes into a field, in place of what stands there.
    pub(crate) async fn fill(&self, css: &str, text: &str) {
        let field = self.element(css).await;
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// Presses a key where the focus is.
    pub(crate) async fn press(&self, key: char) {
        let focused = self.client.active_element().await.unwrap();
        focused.send_keys(&key.to_string()).await.unwrap();
    }

    /// The faults of a page: errors, breaches of its policy, requests to other origins.
    async fn faults(&self) -> Vec<String> {
        let mut found: Vec<String> =
            serde_json::from_value(self.value("window.faults ?? []").await).unwrap();
        let foreign = "performance.getEntriesByType('resource').map((one) => one.name)
            .filter((name) => !name.startsWith(location.origin + '/') && !name.startsWith('data:'))";
        found.extend(serde_json::from_value::<Vec<String>>(self.value(foreign).await).unwrap());
        let log = self.own("se/log", json!({ "type": "browser" })).await;
        let lines = log.as_array().unwrap().iter().filter(|line| line["level"] == "SEVERE");
        // A refused request is told by the browser itself; the page shows it.
        let lines = lines.filter(|line| line["source"] != "network");
        found.extend(lines.map(|line| line["message"].to_string()));
        found
    }
}
