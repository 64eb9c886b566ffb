/** What belongs to a name: what a method takes and gives, and what comes with an event. The models say it. */
import type { Events, HelloOk, Methods } from 'schemas/models/clawhost';
import type { MoreAsked, MoreTold } from './more';

/** A method that the models know. A plugin of somebody else's may serve others. */
export type Method = keyof Methods;
export type Params<M extends Method> = Asked[M];
export type Result<M extends Method> = Told[M];

/** Events of the gateway, and what this page tells itself of the connection. */
export interface Heard extends Events {
  /** Each event, also of plugins that nobody here knows. */
  '*': unknown;
  /** So many events were lost on the way. */
  gap: number;
  /** The connection is there, for the first time or again. */
  open: HelloOk;
}

export type EventName = keyof Heard;

type Asked = { [M in Method]: M extends keyof MoreAsked ? MoreAsked[M] : Fielded<Methods[M]['params']> };
type Told = { [M in Method]: M extends keyof MoreTold ? MoreTold[M] : Methods[M]['result'] };

/** Parameters are an object, also where nothing is said of its fields. */
type Fielded<P> = unknown extends P ? object : P;
