/**
 * Between the language server's answer and VS Code's ghost text: remembers what is shown, parts
 * the sure from the unsure, explains an explicit request that came to nothing.
 */
import * as vscode from "vscode";
import type { LanguageClient } from "vscode-languageclient/node";
import { say } from "./commands.ts";
import type { Confidence } from "./confidence.ts";
import * as protocol from "./protocol.ts";
import { clientSettings } from "./settings.ts";
import { suggestionOf, type Shown } from "./shown.ts";
import { consumed, cutAt, parted, type Suggestion } from "./suggestion.ts";

/** Runs after VS Code accepted a sure part whose unsure tail we drew. */
export const PART_ACCEPTED_COMMAND = "midfill.partAccepted";

type Items = vscode.InlineCompletionItem[];
type Result = Items | vscode.InlineCompletionList | null | undefined;

/** Where an answer is for: `replaced` stands after the position and gives way to it. */
interface Spot {
  readonly document: vscode.TextDocument;
  readonly start: vscode.Position;
  readonly position: vscode.Position;
  readonly replaced: string;
}

export class Ghost {
  constructor(
    private readonly shown: Shown,
    private readonly confidence: Confidence,
    private readonly client: () => LanguageClient | undefined,
    private readonly answered: (document: vscode.TextDocument) => void,
  ) {}

  /** What VS Code is to show for an answer. */
  present(
    document: vscode.TextDocument,
    position: vscode.Position,
    context: vscode.InlineCompletionContext,
    result: Result,
  ): Items | null {
    const items = Array.isArray(result) ? result : (result?.items ?? []);
    const [first] = items;
    if (first === undefined) {
      this.shown.clear();
      this.confidence.clear(document);
      if (context.triggerKind === vscode.InlineCompletionTriggerKind.Invoke) {
        void this.explain(document);
      }
      return null;
    }
    const start = first.range?.start ?? position;
    const known = items.map(suggestionOf).filter((item) => item !== undefined);
    const end = first.range?.end ?? position;
    // The range of a menu entry is not ours to cut.
    const mine = context.selectedCompletionInfo === undefined && end.isAfter(position);
    const replaced = mine ? document.getText(new vscode.Range(position, end)) : "";
    this.shown.set({ document, start, replaced, items: known });
    this.answered(document);
    return this.part(items, known, { document, start, position, replaced });
  }

  private part(items: Items, [suggestion]: readonly Suggestion[], at: Spot): Items {
    const [first, ...others] = items;
    const typed = at.document.getText(new vscode.Range(at.start, at.position));
    const dim = clientSettings().unsure === "dim" && others.length === 0;
    const taken = dim && suggestion ? consumed(suggestion.text, typed) : undefined;
    const end = suggestion && taken !== undefined ? cutAt(suggestion, taken) : undefined;
    if (!first || !suggestion || taken === undefined || end === undefined) {
      this.confidence.clear(at.document);
      return items;
    }
    const { ghost, tail, replaces } = parted(suggestion, { taken, end, replaced: at.replaced });
    // Behind a ghost text of several lines nothing can be drawn; the tail then comes with Tab.
    const drawn = /[\r\n]/.test(ghost) ? "" : tail;
    this.confidence.showTail(at.document, at.position, { ghost, tail: drawn });
    const kept = replaces || at.replaced === "";
    const range = kept ? first.range : first.range?.with(undefined, at.position);
    const sure = new vscode.InlineCompletionItem(suggestion.text.slice(0, end), range);
    sure.command = {
      command: PART_ACCEPTED_COMMAND,
      title: "Accepted",
      arguments: [suggestion.id, end],
    };
    return [sure];
  }

  /** Somebody asked, so nothing needs a reason, said once and briefly. */
  private async explain(document: vscode.TextDocument): Promise<void> {
    const client = this.client();
    const reason = await client?.sendRequest(protocol.why, {
      textDocument: client.code2ProtocolConverter.asTextDocumentIdentifier(document),
    });
    if (reason) say(reason.message);
  }
}
