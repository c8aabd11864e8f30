// The Vietnamese texts, by the English ones.

export const VIETNAMESE = {};
