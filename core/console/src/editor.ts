// editor: CodeMirror, loaded when code is first opened. It lives in a shadow root, where its styles
// are adopted sheets: the page's policy allows no <style> elements.
import { autocompletion, closeBrackets, closeBracketsKeymap, completeAnyWord, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { HighlightStyle, StreamLanguage, bracketMatching, indentOnInput, indentUnit, syntaxHighlighting } from "@codemirror/language";
import { lua } from "@codemirror/legacy-modes/mode/lua";
import { type Diagnostic, lintGutter, setDiagnostics } from "@codemirror/lint";
import { unifiedMergeView } from "@codemirror/merge";
import { highlightSelectionMatches, searchKeymap } from "@codemirror/search";
import { EditorState, type Extension } from "@codemirror/state";
import { EditorView, drawSelection, highlightActiveLine, highlightActiveLineGutter, keymap, lineNumbers } from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { complete } from "./completion.ts";

const theme = EditorView.theme({
  "&": { height: "100%", color: "var(--text)", backgroundColor: "var(--face)", fontSize: "13.5px" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.55", overflow: "auto" },
  ".cm-gutters": { backgroundColor: "var(--face)", color: "var(--faint)", border: "none" },
  ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "color-mix(in srgb, var(--raised) 60%, transparent)" },
  ".cm-cursor": { borderLeftColor: "var(--text)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": {
    backgroundColor: "color-mix(in srgb, var(--accent) 28%, transparent) !important",
  },
  ".cm-panels, .cm-tooltip": { backgroundColor: "var(--raised)", color: "var(--text)", border: "1px solid var(--line)" },
  ".cm-button, .cm-textfield": { backgroundImage: "none", backgroundColor: "var(--face)", color: "var(--text)", border: "1px solid var(--line)" },
  ".cm-tooltip-autocomplete ul li[aria-selected]": { backgroundColor: "var(--accent)", color: "var(--on-accent)" },
  ".cm-changedLine": { backgroundColor: "color-mix(in srgb, var(--good) 14%, transparent) !important" },
  ".cm-deletedChunk": { backgroundColor: "color-mix(in srgb, var(--bad) 12%, transparent) !important" },
});

const colours = HighlightStyle.define([
  { tag: [tags.keyword, tags.operatorKeyword], color: "var(--accent)" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--good)" },
  { tag: [tags.number, tags.bool, tags.null, tags.atom], color: "var(--warn)" },
  { tag: tags.comment, color: "var(--faint)", fontStyle: "italic" },
]);

// Typing over a selection is done here: left to the browser, it keeps the colours of what it replaces
// by style attributes, which the page's policy blocks with a complaint.
const typingOver = EditorView.domEventHandlers({
  beforeinput(e, view) {
    const { from, to, empty } = view.state.selection.main;
    if (e.inputType !== "insertText" || e.data === null || empty || view.composing) return false;
    const text = e.data;
    const insert = () =>
      view.state.update(view.state.replaceSelection(text), { userEvent: "input.type", scrollIntoView: true });
    if (!view.state.facet(EditorView.inputHandler).some((handle) => handle(view, from, to, text, insert)))
      view.dispatch(insert());
    e.preventDefault();
    return true;
  },
});

export interface Fault {
  line: number; // from 1
  message: string;
}

export interface Editor {
  text(): string;
  show(faults: Fault[]): void;
  close(): void;
}

export interface Options {
  text: string;
  label: string;
  language: "lua" | "text";
  before?: string; // shows what changed since, and takes no changes
  changed?: (text: string) => void;
  save?: () => void;
}

function extensions(o: Options): Extension[] {
  const common = [
    lineNumbers(), drawSelection(), bracketMatching(), highlightSelectionMatches(), theme, syntaxHighlighting(colours),
    indentUnit.of("  "), EditorView.contentAttributes.of({ "aria-label": o.label }),
    ...(o.language === "lua" ? [StreamLanguage.define(lua)] : []),
  ];
  if (o.before !== undefined)
    return [
      ...common, EditorState.readOnly.of(true), EditorView.editable.of(false),
      EditorView.contentAttributes.of({ tabindex: "0" }), keymap.of(searchKeymap),
      unifiedMergeView({ original: o.before, mergeControls: false, collapseUnchanged: { margin: 3, minSize: 6 } }),
    ];
  return [
    ...common, typingOver, history(), closeBrackets(), indentOnInput(), highlightActiveLine(), highlightActiveLineGutter(), lintGutter(),
    autocompletion({ override: o.language === "lua" ? [complete, completeAnyWord] : [completeAnyWord] }),
    keymap.of([
      { key: "Mod-s", preventDefault: true, run: () => (o.save?.(), true) },
      // Tab indents; Escape, then Tab leaves.
      ...closeBracketsKeymap, ...completionKeymap, ...searchKeymap, ...historyKeymap, ...defaultKeymap, indentWithTab,
    ]),
    EditorView.updateListener.of((u) => u.docChanged && o.changed?.(u.state.doc.toString())),
  ];
}

export function open(parent: HTMLElement, o: Options): Editor {
  const root = parent.shadowRoot ?? parent.attachShadow({ mode: "open" });
  const view = new EditorView({ root, parent: root, state: EditorState.create({ doc: o.text, extensions: extensions(o) }) });
  const at = ({ line, message }: Fault): Diagnostic => {
    const { from, to } = view.state.doc.line(Math.min(Math.max(line, 1), view.state.doc.lines));
    return { from, to, severity: "error", message };
  };
  return {
    text: () => view.state.doc.toString(),
    show(faults) {
      view.dispatch(setDiagnostics(view.state, faults.map(at)));
      if (faults[0]) {
        view.dispatch({ effects: EditorView.scrollIntoView(at(faults[0]).from, { y: "center" }) });
      }
    },
    close: () => view.destroy(),
  };
}
