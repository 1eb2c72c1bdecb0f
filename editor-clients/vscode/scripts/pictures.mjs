// The README's pictures in the package. VS Code's page of an extension shows those that come over
// https and none of the package itself; its walkthrough is where those can be seen.

const PICTURE = /^ *!\[[^\]]*\]\((?!https:)[^)]+\)\n\n(?:\*[^*\n]+\*\n\n)?/gm;
const ELSEWHERE =
  "*For pictures run* Welcome: Open Walkthrough… *and choose* Get Started with Midfill.\n\n";

/** Where the pictures of a checkout are public, by its git remote; else `undefined`. */
export function publicAddress(remote) {
  const found = /^(?:https:\/\/|git@)(github|gitlab)\.com[/:]([\w.-]+\/[\w.-]+?)(?:\.git)?$/.exec(
    remote,
  );
  if (found === null) return undefined;
  const [, host, repository] = found;
  const raw = host === "github" ? "raw" : "-/raw";
  return `https://${host}.com/${repository}/${raw}/HEAD/editor-clients/vscode`;
}

/** The text without pictures of the package, nor their captions; the first says where they are. */
export function withoutPictures(markdown) {
  let first = true;
  return markdown.replace(PICTURE, () => {
    const words = first ? ELSEWHERE : "";
    first = false;
    return words;
  });
}
