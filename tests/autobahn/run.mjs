// One fuzzing client for each way to the echo server, all at once; then the comparison. See `run`.
import { execFileSync, spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { compare, table } from "./compare.mjs";

const FOLDER = import.meta.dirname;
const REPORT = join(FOLDER, "report");
const WSTEST = join(FOLDER, "../.venv27/env/bin/wstest");

// A start takes milliseconds; a machine that runs tests may be busy.
const START_LIMIT_MS = 60_000;
const SUBSET_LIMIT_MS = 10 * 60_000;
const FULL_LIMIT_MS = 90 * 60_000;

// Left out of the quick ones: 9.* is bulk, most of 12.* and 13.* are the same thousand messages with other settings.
const SUBSET = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*", "12.1.1", "12.1.10", "12.5.5", "13.1.1", "13.7.5"];

const children = [];

function start(command, args, options = {}) {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], ...options });
  children.push(child);
  child.on("error", (error) => fail(`cannot start ${command}: ${error.message}`));
  return child;
}

function fail(why) {
  console.error(why);
  process.exit(1);
}

process.on("exit", () => children.forEach((child) => child.kill("SIGKILL")));
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => fail(`stopped by ${signal}`));

// The first value that `pick` finds in a JSON line of that stream. The stream is read to its end, so that it never fills.
function awaitLine(what, stream, pick) {
  return new Promise((resolve) => {
    const seen = [];
    const timer = setTimeout(() => fail(`no ${what} within ${START_LIMIT_MS} ms:\n${seen.join("\n")}`), START_LIMIT_MS);
    const lines = createInterface({ input: stream });
    lines.on("line", (line) => {
      if (seen.length < 100) seen.push(line);
      const found = line.startsWith("{") && pick(JSON.parse(line));
      if (!found) return;
      clearTimeout(timer);
      resolve(found);
    });
    lines.on("close", () => fail(`${what}: it ended:\n${seen.join("\n")}`));
  });
}

async function startProxy(app) {
  const args = ["run", "--admin", "off", "--log-format", "json", "--upstream", `127.0.0.1:${app}`, "--listen", "http://127.0.0.1:0"];
  const [certificate, key] = ["certificate.pem", "key.pem"].map((name) => join(REPORT, name));
  const request = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
  const names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];
  execFileSync("openssl", [...request, ...names, "-keyout", key, "-out", certificate], { stdio: "pipe" });
  args.push("--listen", "https://127.0.0.1:0", "--tls-cert", certificate, "--tls-key", key);
  // Nothing of the caller's settings.
  const proxy = start(process.env.OUTRIGGER_BIN, args, { cwd: REPORT, env: { PATH: process.env.PATH, NO_COLOR: "1" } });
  const addresses = {};
  await awaitLine("listeners of outrigger", proxy.stderr, (line) => {
    if (line.message === "listening") addresses[line.scheme] = line.addr;
    return line.message === "ready";
  });
  return addresses;
}

// Resolves with the verdicts by case.
function runSuite(way, url, cases, limit) {
  const outdir = join(REPORT, way);
  const spec = join(REPORT, `${way}.json`);
  const servers = [{ agent: way, url }];
  writeFileSync(spec, JSON.stringify({ outdir, servers, cases, "exclude-cases": [], "exclude-agent-cases": {} }));
  const began = Date.now();
  // Straight to a file, where a long run can be watched.
  const log = join(REPORT, `${way}.log`);
  const file = openSync(log, "w");
  const suite = start(WSTEST, ["--mode", "fuzzingclient", "--spec", spec], { cwd: REPORT, stdio: ["ignore", file, file] });
  closeSync(file);
  const timer = setTimeout(() => fail(`${way}: not done within ${limit} ms`), limit);
  return new Promise((resolve) => {
    suite.on("close", (code) => {
      clearTimeout(timer);
      const output = readFileSync(log, "utf8");
      if (code !== 0) fail(`${way}: the suite exited with ${code}:\n${output.slice(-2000)}`);
      const announced = output.match(/will run (\d+) test cases/)?.[1];
      const verdicts = JSON.parse(readFileSync(join(outdir, "index.json")))[way];
      // It exits with 0 even when it could not connect.
      const count = Object.keys(verdicts).length;
      if (count !== Number(announced)) fail(`${way}: ${count} of ${announced} cases were run; see ${log}`);
      const seconds = Math.round((Date.now() - began) / 1000);
      console.log(`${way}: ${count} cases in ${seconds} s`);
      resolve({ verdicts, seconds });
    });
  });
}

const named = process.argv.slice(2);
const subset = named[0] === "--subset";
const cases = subset ? SUBSET : named.length > 0 ? named : ["*"];

rmSync(REPORT, { recursive: true, force: true });
mkdirSync(REPORT);
const echo = start(process.execPath, [join(FOLDER, "echo.mjs")]);
const app = await awaitLine("port of the echo server", echo.stdout, (line) => line.port);
const proxy = await startProxy(app);
const limit = subset ? SUBSET_LIMIT_MS : FULL_LIMIT_MS;
const [direct, ...through] = await Promise.all([
  runSuite("direct", `ws://127.0.0.1:${app}`, cases, limit),
  runSuite("ws", `ws://${proxy.http}`, cases, limit),
  runSuite("wss", `wss://${proxy.https}`, cases, limit),
]);

const exceptions = JSON.parse(readFileSync(join(FOLDER, "exceptions.json")));
const ways = { direct, ws: through[0], wss: through[1] };
const worse = compare(ways, exceptions);
const summary = table(ways, worse, exceptions);
writeFileSync(join(REPORT, "summary.md"), summary);
console.log(summary);
process.exit(worse.every(({ excepted }) => excepted) ? 0 : 1);
