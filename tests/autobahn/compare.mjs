// What the suite said about each way, held against what it said about the direct one.

// How good a verdict is. INFORMATIONAL cases have no right answer.
const RANK = { OK: 3, INFORMATIONAL: 3, "NON-STRICT": 2, UNIMPLEMENTED: 1 };

const rank = (verdict) => RANK[verdict] ?? 0;

// The verdict on the conversation, and the one on how the connection ended.
const KINDS = ["behavior", "behaviorClose"];

// Cases that are worse on the way through the proxy than on the direct one. One that was not run through it is the worst.
// `exceptions`: `[{cases, verdict, reason}]`, those cases may be as bad as that verdict, and no worse.
export function compare({ direct, ...others }, exceptions) {
  const excepted = (id, got) => exceptions.some(({ cases, verdict }) => cases.includes(id) && rank(got) >= rank(verdict));
  const worse = [];
  for (const [way, { verdicts }] of Object.entries(others)) {
    for (const [id, wanted] of Object.entries(direct.verdicts)) {
      for (const kind of KINDS) {
        const got = verdicts[id]?.[kind] ?? "NOT RUN";
        const passes = rank(wanted[kind]) >= RANK["NON-STRICT"];
        if (passes && rank(got) < rank(wanted[kind])) {
          worse.push({ way, id, kind, wanted: wanted[kind], got, excepted: excepted(id, got) });
        }
      }
    }
  }
  return worse;
}

// The whole account, in Markdown.
export function table(ways, worse, exceptions) {
  const names = ["OK", "NON-STRICT", "INFORMATIONAL", "UNIMPLEMENTED"];
  const count = ({ verdicts }, kind, wanted) => Object.values(verdicts).filter((v) => wanted(v[kind])).length;
  const rows = Object.entries(ways).map(([way, run]) => {
    const known = names.map((name) => count(run, "behavior", (verdict) => verdict === name));
    const failed = count(run, "behavior", (verdict) => !names.includes(verdict));
    const ends = count(run, "behaviorClose", (verdict) => rank(verdict) < RANK["NON-STRICT"]);
    return `| ${[way, Object.keys(run.verdicts).length, ...known, failed, ends, run.seconds].join(" | ")} |`;
  });
  const describe = ({ way, id, kind, wanted, got }) => `- ${id} over ${way}: ${kind} ${got}, directly ${wanted}`;
  const regressions = worse.filter((one) => !one.excepted);
  const known = exceptions.flatMap(({ cases, verdict, reason }) => {
    const seen = cases.filter((id) => worse.some((one) => one.excepted && one.id === id));
    return seen.length > 0 ? [`- ${seen.join(", ")} (${verdict}): ${reason}`] : [];
  });
  return [
    "# Autobahn|Testsuite",
    "",
    `| way | cases | ${names.join(" | ")} | failed | wrong ends | seconds |`,
    `|---|${"---|".repeat(names.length + 4)}`,
    ...rows,
    "",
    regressions.length > 0 ? "Worse through the proxy than directly:" : "No case is worse through the proxy than directly.",
    ...(regressions.length > 0 ? ["", ...regressions.map(describe)] : []),
    ...(known.length > 0 ? ["", "Known exceptions:", "", ...known] : []),
    "",
  ].join("\n");
}
