// How a receiver verifies a callback, in three languages. The suite runs all three against real callbacks.
import java from "../verify/Verify.java?raw";
import javascript from "../verify/verify.mjs?raw";
import python from "../verify/verify.py?raw";

export type Language = "python" | "javascript" | "java";
export const LANGUAGES: [Language, string][] = [["python", "Python"], ["javascript", "JavaScript"], ["java", "Java"]];
export const VERIFY: Record<Language, string> = { python, javascript, java };
