export function publicAddress(remote: string): string | undefined;
export function withoutPictures(markdown: string): string;
