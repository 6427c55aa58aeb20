// made: the function that was made last from a blueprint, for its first page.
import { signal } from "@preact/signals";

export interface Report {
  name: string;
  created: { type: string; name: string }[];
  updated: { type: string; name: string }[];
  granted: string[];
  try?: string; // a command to see it work
}

export const made = signal<Report | null>(null);
