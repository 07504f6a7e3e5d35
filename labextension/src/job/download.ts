/** Save the bytes of an answer as a file, under a name. */
export async function saveAs(answer: Response, name: string): Promise<void> {
  const url = URL.createObjectURL(await answer.blob());
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  // The browser has taken the bytes over when the click returns; the address may go later.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
