/**
 * The messages between this extension and the language server that the LSP does not have.
 *
 * The contract is `docs/protocol.md`; nothing here decides anything. Positions and lengths count
 * UTF-16 units.
 */
import type { Position, Range, TextDocumentIdentifier, WorkspaceEdit } from "vscode-languageclient";
import { NotificationType, RequestType } from "vscode-languageclient";

export type State = "starting" | "loading" | "ready" | "busy" | "paused" | "off" | "error";

export interface Status {
  state: State;
  message: string;
  /** 0..1 while something loads. */
  progress?: number;
  model?: string;
  device?: string;
  last?: { ms: number; nfe: number; source: string };
}

/** An ignore file, by the path of the folder that it stands in. */
export interface IgnoreFile {
  folder: string;
  text: string;
}

/** Why a document's last request showed nothing. */
export interface Silence {
  uri: string;
  version: number;
  code: string;
  message: string;
}

/** The middle as it stands after a denoising step; tokens are [length, confidence, committed]. */
export interface Draft {
  uri: string;
  version: number;
  position: Position;
  text: string;
  tokens: [number, number, 0 | 1][];
  step: number;
}

/** What was not ready in time for a question is known now. */
export interface Late {
  uri: string;
  version: number;
  position: Position;
}

/** The argument of the command `midfill.accepted` that every item carries. */
export interface Acceptance {
  id: string;
  /** [length, confidence] of each token, from the start of the item's text. */
  tokens: [number, number][];
  /** Length before the first token that counts as unsure. */
  sure: number;
  ms: number;
  nfe: number;
  source: string;
}

/** A token as the inspector sees it. */
export type InspectedToken = [text: string, confidence: number, committed: 0 | 1];

/** What a question was answered; `shown` or, when nothing was, `code` and `message`. */
export interface Inspection {
  answer: {
    version: number;
    line: number;
    explicit: boolean;
    ms: number;
    source?: string;
    shown?: InspectedToken[][];
    code?: string;
    message?: string;
  };
  request: InspectedRequest | null;
}

/** A request to the engine: what was sent, each denoising step, what came back. */
export interface InspectedRequest {
  ahead: boolean;
  context: {
    path: string;
    language: string;
    snippets: { path: string; text: string }[];
    prefix: string;
    suffix: string;
    draft: string;
  };
  parameters: Record<string, unknown>;
  drafts: { step: number; ms: number; tokens: InspectedToken[] }[];
  fill: {
    model: string;
    strategy: string;
    finish_reason: string;
    nfe: number;
    tokens_per_forward: number;
    prompt_tokens: number;
    cached_tokens: number;
    completion_tokens: number;
    queue_ms: number;
    prefill_ms: number;
    denoise_ms: number;
    total_ms: number;
    notes: string[];
    middles: { score: number; finish_reason: string; tokens: InspectedToken[] }[];
  } | null;
}

export type AcceptKind = "all" | "word" | "line" | "sure";

export const ACCEPTED_COMMAND = "midfill.accepted";
export const RESTART_ENGINE_COMMAND = "midfill.restartEngine";

export const statusChanged = new NotificationType<Status>("midfill/status");
export const silence = new NotificationType<Silence>("midfill/silence");
export const late = new NotificationType<Late>("midfill/late");
export const draft = new NotificationType<Draft>("midfill/draft");

export const didShow = new NotificationType<{ id: string }>("midfill/didShow");
export const didAccept = new NotificationType<{ id: string; kind: AcceptKind; length: number }>(
  "midfill/didAccept",
);
export const didDismiss = new NotificationType<{ uri: string; position: Position; id?: string }>(
  "midfill/didDismiss",
);

export const describeDocument = new NotificationType<{
  textDocument: TextDocumentIdentifier;
  folder: string;
  ignoreFiles: IgnoreFile[];
}>("midfill/describeDocument");

export const why = new RequestType<
  { textDocument: TextDocumentIdentifier },
  { code: string; message: string; at_version: number } | null,
  void
>("midfill/why");
export const inspect = new RequestType<
  { textDocument: TextDocumentIdentifier },
  Inspection | null,
  void
>("midfill/inspect");
export const getStatus = new RequestType<Record<string, never>, Status, void>("midfill/status/get");
export const snooze = new RequestType<{ minutes: number }, Status, void>("midfill/snooze");
export const fillHoles = new RequestType<
  { textDocument: TextDocumentIdentifier; range: Range },
  WorkspaceEdit | null,
  void
>("midfill/fillHoles");
