// runs_tab: the runs of one function, in its frame.
export { RunsTab as default } from "./runs.tsx";
