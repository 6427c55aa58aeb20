// access: who may do what: users, roles, policies, a simulator, and who is signed in.
import type { ComponentType } from "preact";
import { part } from "../router.ts";
import { Head, Tabs } from "../ui.tsx";
import type { ViewProps } from "../views.tsx";
import { PolicyPage, PoliciesPage } from "./managed.tsx";
import { RolePage, RolesPage } from "./roles.tsx";
import { Sessions } from "./sessions.tsx";
import { Simulator } from "./simulator.tsx";
import { UserPage, UsersPage } from "./users.tsx";

const TABS: [string, string][] = [
  ["users", "Users"],
  ["roles", "Roles"],
  ["policies", "Policies"],
  ["simulator", "Simulator"],
  ["sessions", "Sessions"],
];
const LISTS: Record<string, ComponentType> = {
  users: UsersPage,
  roles: RolesPage,
  policies: PoliciesPage,
  simulator: Simulator,
  sessions: Sessions,
};
const ONE: Record<string, ComponentType<{ name: string }>> = { users: UserPage, roles: RolePage, policies: PolicyPage };

export default function Access({ params: [view, name] }: ViewProps) {
  const tab = view || "users";
  const One = name ? ONE[tab] : undefined;
  const List = LISTS[tab];
  if (One) return <One key={part(name!)} name={name!} />;
  return (
    <>
      <Head title="Access" />
      <Tabs base="/access" now={tab} tabs={TABS} />
      {List ? <List /> : <p class="empty">There is no view of that name.</p>}
    </>
  );
}
