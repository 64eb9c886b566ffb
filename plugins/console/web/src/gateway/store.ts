/** What this browser keeps of a gateway: its key and the token it was handed. Each origin has a database of its own. */

const NAME = 'clawhost';
const TABLE = 'kept';

export async function read<T>(key: string): Promise<T | undefined> {
  return run('readonly', (table) => table.get(key)) as Promise<T | undefined>;
}

export async function write(key: string, value: unknown): Promise<void> {
  await run('readwrite', (table) => table.put(value, key));
}

export async function forget(key: string): Promise<void> {
  await run('readwrite', (table) => table.delete(key));
}

/**
 * Writes a value where there is none, in one transaction, and gives back what is there afterwards: two tabs that
 * open at once agree on one.
 */
export async function writeOnce<T>(key: string, value: T): Promise<T> {
  const db = await open();
  try {
    return await new Promise<T>((resolve, reject) => {
      const transaction = db.transaction(TABLE, 'readwrite');
      const table = transaction.objectStore(TABLE);
      let kept = value;
      const found = table.get(key);
      found.onsuccess = () => {
        if (found.result === undefined) table.put(value, key);
        else kept = found.result as T;
      };
      transaction.oncomplete = () => resolve(kept);
      transaction.onabort = () => reject(transaction.error);
    });
  } finally {
    db.close();
  }
}

async function run(mode: IDBTransactionMode, ask: (table: IDBObjectStore) => IDBRequest): Promise<unknown> {
  const db = await open();
  try {
    return await new Promise((resolve, reject) => {
      const transaction = db.transaction(TABLE, mode);
      const request = ask(transaction.objectStore(TABLE));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onabort = () => reject(transaction.error);
    });
  } finally {
    db.close();
  }
}

function open(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(TABLE);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
