/** What a console shows that gives root to whoever stands before it. */
export const ROOT_SHELL = /Give root password|Press Enter for maintenance|# $/m;
