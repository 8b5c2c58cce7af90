/** A reason to stop that the person at the terminal can act on; printed without a stack. */
export class Refusal extends Error {}
