/**
 * Long work that Ctrl-C ends in good order.
 * @module
 */

/** Exit statuses of a process stopped by a signal: 128 + its number. */
const STATUS = { SIGINT: 130, SIGTERM: 143 } as const;

/**
 * The first Ctrl-C (or SIGTERM) asks a run to stop where nothing is lost; the second ends the process as usual.
 * @param told - what the user is told then.
 */
export function interruptible(
  note: (line: string) => void,
  told: string,
): {
  signal: AbortSignal;
  status(): number;
  end(): void;
} {
  const controller = new AbortController();
  let received: keyof typeof STATUS = 'SIGINT';
  const onSignal = (name: NodeJS.Signals): void => {
    received = name as keyof typeof STATUS;
    end();
    note(told);
    controller.abort();
  };
  const end = (): void => {
    for (const name of Object.keys(STATUS)) process.off(name, onSignal);
  };
  for (const name of Object.keys(STATUS)) process.on(name, onSignal);
  return { signal: controller.signal, status: () => STATUS[received], end };
}
