// Offer data as a file.

/**
 * @param {string} name  name of the file
 * @param {Blob} data
 */
export function offer(name, data) {
  const address = URL.createObjectURL(data);
  const link = document.createElement("a");
  Object.assign(link, { href: address, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
