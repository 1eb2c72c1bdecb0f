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

export type AcceptKind = "all" | "word" | "line" | "sure";

export const ACCEPTED_COMMAND = "midfill.accepted";
export const RESTART_ENGINE_COMMAND = "midfill.restartEngine";

export const statusChanged = new NotificationType<Status>("midfill/status");
export const silence = new NotificationType<Silence>("midfill/silence");
export const draft = new NotificationType<Draft>("midfill/draft");

export const didShow = new NotificationType<{ id: string }>("midfill/didShow");
export const didAccept = new NotificationType<{ id: string; kind: AcceptKind; length: number }>(
  "midfill/didAccept",
);
export const didDismiss = new NotificationType<{ uri: string; position: Position; id?: string }>(
  "midfill/didDismiss",
);

export const why = new RequestType<
  { textDocument: TextDocumentIdentifier },
  { code: string; message: string; at_version: number } | null,
  void
>("midfill/why");
export const getStatus = new RequestType<Record<string, never>, Status, void>("midfill/status/get");
export const snooze = new RequestType<{ minutes: number }, Status, void>("midfill/snooze");
export const fillHoles = new RequestType<
  { textDocument: TextDocumentIdentifier; range: Range },
  WorkspaceEdit | null,
  void
>("midfill/fillHoles");
