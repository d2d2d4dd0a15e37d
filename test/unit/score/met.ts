/** Whether each figure met its goal, by its id. */
export const met = (figures: readonly { id: string; met?: boolean }[]) =>
  Object.fromEntries(figures.map((one) => [one.id, one.met]));
